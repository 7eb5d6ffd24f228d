#include "trainer/run/stop_signal.h"

#include <csignal>

namespace cadre::run {
namespace {

volatile std::sig_atomic_t g_received = 0;

void on_signal(int number) {
  g_received = number;
  // The next one finds the default action.
  std::signal(number, SIG_DFL);
}

}  // namespace

StopSignal::StopSignal() {
  g_received = 0;
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
}

StopSignal::~StopSignal() {
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
}

int StopSignal::received() const {
  return g_received;
}

}  // namespace cadre::run
