#include "launch/early_signals.h"

#include <atomic>
#include <csignal>

namespace cadre::launch {
namespace {

std::atomic<int> first{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only use what takes no lock");

void remember(int number) {
  int none = 0;
  if (first.compare_exchange_strong(none, number)) return;
  std::signal(number, SIG_DFL);
  std::raise(number);
}

}  // namespace

void remember_early_signals() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    struct sigaction now = {}, wanted = {};
    if (sigaction(number, nullptr, &now) != 0 || now.sa_handler == SIG_IGN) continue;
    wanted.sa_handler = remember;
    wanted.sa_flags = SA_RESTART;
    sigaction(number, &wanted, nullptr);
  }
}

int early_signal() {
  return first.load();
}

const char* name_of_signal(int number) {
  return number == SIGINT ? "SIGINT" : number == SIGHUP ? "SIGHUP" : "SIGTERM";
}

}  // namespace cadre::launch
