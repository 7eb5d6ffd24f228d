// The first line on the coordinator's stdin.
#pragma once

#include <cstdint>
#include <string>

#include "launch/boot.h"

namespace cadre::launch {

struct CoordinatorBoot {
  Boot boot = {};  // run, token, configuration
  std::uint64_t term = 1;
  std::uint32_t ranks = 1;            // that are started
  std::uint32_t numbers = 1;          // of ranks, with those that were invited since
  bool ranks_return = false;          // lost ones are started again
  std::uint64_t steps_per_epoch = 0;  // of the first epoch

  bool operator==(const CoordinatorBoot&) const = default;
};

std::string print_coordinator_boot(const CoordinatorBoot& boot);
// UserError for anything else.
CoordinatorBoot parse_coordinator_boot(const std::string& line);

}  // namespace cadre::launch
