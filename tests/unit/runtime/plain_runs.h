// A run of a coordinator among simulated ranks in which nobody is lost.
#pragma once

#include "tests/unit/runtime/simulated_world.h"

namespace cadre::runtime {

inline CoordinatorOptions options_for(std::size_t ranks, RunPolicy policy = {}) {
  return {.run_id = "a run", .expected_ranks = ranks, .policy = policy, .checkpoints = "/run/checkpoints"};
}

inline void start(SimulatedWorld& world, std::size_t ranks) {
  for (Rank rank = 0; rank < ranks; ++rank) world.start_rank(rank);
}

}  // namespace cadre::runtime
