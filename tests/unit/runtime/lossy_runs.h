// The runs in which tests lose ranks: short ones, of which it is known how an undisturbed one ends.
#pragma once

#include <gtest/gtest.h>

#include "tests/unit/runtime/simulated_world.h"

namespace cadre::runtime {

inline constexpr std::uint64_t kSteps = 6;

inline CoordinatorOptions options_for(std::size_t ranks, bool keep_state) {
  return {.run_id = "a run",
          .expected_ranks = ranks,
          .policy = {.eval_every = 3, .save_every = 2, .max_grad_norm = 1},
          .keep_state = keep_state,
          .checkpoints = "/run/checkpoints"};
}

inline SimulatedWorld world_of(std::size_t ranks, bool keep_state, std::uint64_t seed) {
  SimulatedWorld world(options_for(ranks, keep_state), workload_of(kSteps, 8), seed);
  for (Rank rank = 0; rank < ranks; ++rank) world.start_rank(rank);
  return world;
}

inline void expect_success(const SimulatedWorld& world) {
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
}

}  // namespace cadre::runtime
