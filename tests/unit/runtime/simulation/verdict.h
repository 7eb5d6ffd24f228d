// What an undisturbed run would have come to, and what may end one that was disturbed.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/runtime/simulation/scenario.h"
#include "tests/unit/runtime/simulation/toy_training.h"

namespace cadre::simulation {

struct ExpectedEnd {
  std::uint64_t step = 0;    // updates done
  std::string result = {};   // what its file holds
  std::string of_last = {};  // likewise where the best step's checkpoint could not be written
};
ExpectedEnd expected_end(const Scenario& scenario, const Trajectory& trajectory);

// A run may end before its end only when too few ranks are left, or came; or when it was stopped and the disk refused
// its checkpoint. It can go on.
bool is_end_for_lack_of_ranks(const std::string& reason);

}  // namespace cadre::simulation
