// A rank that says that it cannot go on: the others do, or the run ends with its reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "runtime/coordinator.h"
#include "tests/unit/runtime/plain_runs.h"

namespace cadre::runtime {
namespace {

TEST(Coordinator, AFailureThatOthersWouldHaveTooEndsTheRunWithItsReason) {
  for (const bool user_can_mend : {false, true}) {
    CoordinatorOptions options = options_for(2);
    options.min_ranks = user_can_mend ? 1 : 2;  // without it nobody could go on
    SimulatedWorld world(options, workload_of(2, 4));
    world.start_rank(0);
    world.start_rank(1);
    while (world.coordinator().view().size() == 0) world.deliver_one();
    world.send(1, Failed{user_can_mend, "model.safetensors:\n it has no header"});
    ASSERT_TRUE(world.finished.has_value());
    EXPECT_EQ(world.finished->outcome, user_can_mend ? RunOutcome::kUserError : RunOutcome::kFailed);
    EXPECT_EQ(world.finished->reason,
              user_can_mend ? "model.safetensors:  it has no header" : "rank 1: model.safetensors:  it has no header");
    EXPECT_TRUE(world.rank(0)->ended.has_value());
  }
}

// Its memory or its device may be at fault; where another fails in the same step it is the step.
TEST(Coordinator, OthersGoOnWithoutARankThatFailsOnceAStep) {
  for (const bool in_one_step : {false, true}) {
    CoordinatorOptions options = options_for(3);
    options.keep_state = true;
    SimulatedWorld world(options, workload_of(4, 6));
    start(world, 3);
    std::set<Rank> failed;
    world.run([&](SimulatedWorld& w) {
      const std::uint64_t first = 1, second = in_one_step ? first : 2;
      if (w.done() == first && failed.insert(1).second) w.send(1, Failed{false, "out of memory"});
      const bool is_back = w.coordinator().view().size() == 2;
      if (w.done() == second && is_back && failed.insert(2).second) w.send(2, Failed{false, "out of memory"});
    });
    ASSERT_TRUE(world.finished.has_value());
    EXPECT_EQ(failed.size(), 2U);
    if (in_one_step) {
      EXPECT_EQ(world.finished->outcome, RunOutcome::kFailed);
      EXPECT_EQ(world.finished->reason, "rank 2: out of memory");
    } else {
      EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
      EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
      EXPECT_TRUE(world.rollbacks.empty());
    }
  }
}

// Something that all of them meet: to start them again does not help.
TEST(Coordinator, ARunWhoseRanksAllDieWhileTheyLoadEnds) {
  for (const bool one_gets_ready : {false, true}) {
    Coordinator coordinator(options_for(2), {});
    Connection connection = 0;
    Effects effects;
    for (int time = 0; time < 3; ++time) {
      for (const Rank rank : {0U, 1U}) {
        coordinator.on_message(++connection, Join{{.rank = rank}}, {});
        const bool is_ready = one_gets_ready && rank == 0 && time == 2;
        if (is_ready) {
          effects = coordinator.on_message(connection, Ready{workload_of(2, 4), {}}, {});
        } else {
          EXPECT_FALSE(coordinator.finished());
          effects = coordinator.on_closed(connection, "closed by the other end", {});
        }
      }
    }
    ASSERT_EQ(coordinator.finished(), !one_gets_ready);
    if (one_gets_ready) continue;
    const auto& finished = std::get<Finished>(effects.back());
    EXPECT_EQ(finished.outcome, RunOutcome::kFailed);
    EXPECT_THAT(finished.reason, testing::HasSubstr("every rank was lost three times before it was ready; rank 1 is"));
  }
}

TEST(Coordinator, AFailureElsewhereNamesTheHost) {
  CoordinatorOptions options = options_for(3);  // one of them never comes
  options.host = "host-1";
  for (const Rank rank : {0U, 1U}) {
    SimulatedWorld world(options, workload_of(2, 4));
    start(world, 2);
    world.run();
    world.send(rank, Failed{true, "base: there is no such folder"});
    EXPECT_EQ(world.finished->outcome, RunOutcome::kUserError);
    EXPECT_EQ(world.finished->reason, rank == 0 ? "base: there is no such folder"
                                                : "rank 1 on host-2: base: there is no such folder; every host "
                                                  "needs base_model at the path that it has on the launch node");
  }
}

}  // namespace
}  // namespace cadre::runtime
