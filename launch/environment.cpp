#include "launch/environment.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "launch/machine.h"
#include "runtime/error.h"
#include "runtime/instruction_set.h"

namespace cadre::launch {
namespace {

constexpr rlim_t kMostDescriptors = 1 << 20;

// Of what is absent, all that we set.
runtime::InstructionPins missing_settings() {
  runtime::InstructionPins settings = runtime::widest_pins(processor_instructions());
  for (const auto& [name, value] : runtime::pins_in_environment()) settings.erase(name);
  // libgomp reads these when it is loaded. A thousand turns are a few microseconds: enough between the short loops of a
  // step on a quiet machine, and a processor is given back soon on a busy one.
  if (std::getenv("GOMP_SPINCOUNT") == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr) {
    settings["GOMP_SPINCOUNT"] = "1000";
  }
  return settings;
}

}  // namespace

void settle_environment(char** argv) {
  const auto settings = missing_settings();
  if (settings.empty()) return;
  for (const auto& [name, value] : settings) {
    if (setenv(name.c_str(), value.c_str(), 1) != 0) return;
  }
  execv("/proc/self/exe", argv);
  // Where exec is refused the program runs as it is, only slower: the pins are read later, and hold.
}

void allow_many_descriptors() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kMostDescriptors);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

void require_possible_instructions() {
  const std::string problem = runtime::problem_of_pins(runtime::pins_in_environment(), processor_instructions());
  if (!problem.empty()) throw runtime::UserError(problem);
}

}  // namespace cadre::launch
