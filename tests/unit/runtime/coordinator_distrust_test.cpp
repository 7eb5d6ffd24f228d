// What members say that cannot be: copies and parameters that differ, and messages that no rank of this program sends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/coordinator.h"
#include "tests/unit/runtime/plain_runs.h"

namespace cadre::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(CoordinatorDistrusts, CopiesThatDifferAreComputedAgain) {
  SimulatedWorld world(options_for(3), workload_of(4, 6));
  bool flipped = false;
  world.flip = [&](SimulatedRank& rank, std::uint64_t step) {
    return step == 2 && rank.number == 1 && !std::exchange(flipped, true);
  };
  start(world, 3);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_THAT(world.events,
              ElementsAre("started 0", "view 0", "vote_failed 3", "erred 3", "checkpoint 4", "succeeded 4"));
  EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 1 held other bytes than those that step 3 was committed with")));
  EXPECT_TRUE(world.rollbacks.empty());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
}

TEST(CoordinatorDistrusts, WhoErrsInTwoStepsIsPutOut) {
  SimulatedWorld world(options_for(3), workload_of(6, 6));
  std::set<std::uint64_t> flipped;
  world.flip = [&](SimulatedRank& rank, std::uint64_t step) {
    return (step == 1 || step == 3) && rank.number == 1 && flipped.insert(step).second;
  };
  start(world, 3);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.rank(1), nullptr);
  EXPECT_EQ(world.alive(), 2U);
  EXPECT_THAT(world.events, Contains("erred 2"));
  EXPECT_THAT(world.events, Contains("erred 4"));
  EXPECT_THAT(world.warnings, Contains("rank 1 is lost: held wrong bytes in 2 steps"));
  EXPECT_EQ(world.result_parameters, world.expected_parameters(6));
}

// A bit of the state itself: to compute again does not help, and nobody knows whose copy is right until all come to the
// step once more. The checkpoint of that state may hold the wrong one.
TEST(CoordinatorDistrusts, StateThatDiffersIsLoadedFromACheckpointThatWasConfirmed) {
  for (const bool keep_state : {false, true}) {
    CoordinatorOptions options = options_for(3, {.save_every = 2});
    options.keep_state = keep_state;
    SimulatedWorld world(options, workload_of(6, 6));
    world.flip = [&](SimulatedRank& rank, std::uint64_t step) {
      return step == 4 && rank.number == 2 && world.rollbacks.empty();
    };
    start(world, 3);
    world.run();
    EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
    ASSERT_EQ(world.rollbacks.size(), 1U);
    EXPECT_EQ(world.rollbacks[0].step, 2U);
    EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 2 held other bytes than those that step 5")));
    EXPECT_EQ(world.result_parameters, world.expected_parameters(6));
    EXPECT_EQ(world.alive(), 3U);
  }
}

TEST(CoordinatorDistrusts, WhoContradictsItselfToTheEndIsPutOut) {
  CoordinatorOptions options = options_for(3, {.save_every = 2});
  options.keep_state = true;
  SimulatedWorld world(options, workload_of(6, 6));
  std::size_t asked = 0;
  // Right now and then, never with all chunks.
  world.flip = [&](SimulatedRank& rank, std::uint64_t) { return rank.number == 2 && ++asked % 3 != 0; };
  start(world, 3);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.rank(2), nullptr);
  EXPECT_EQ(world.result_parameters, world.expected_parameters(6));
}

TEST(CoordinatorDistrusts, CopiesThatAlwaysDifferEndTheRun) {
  SimulatedWorld world(options_for(2), workload_of(4, 6));
  world.flip = [&](SimulatedRank& rank, std::uint64_t step) { return step == 2 && rank.number == 1; };
  start(world, 2);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kFailed);
  EXPECT_THAT(world.finished->reason, HasSubstr("step 3: copy 1 of the gradients"));
  EXPECT_EQ(world.done(), 2U);
}

// The copies are right: the parameters are gathered anew from them.
TEST(CoordinatorDistrusts, RanksWithOtherParametersGetThemAnew) {
  for (const bool keep_state : {false, true}) {
    CoordinatorOptions options = options_for(4);
    options.keep_state = keep_state;
    SimulatedWorld world(options, workload_of(4, 6));
    bool flipped = false;
    world.change_vote = [&](SimulatedRank& rank, Prepared& vote) {
      if (vote.step == 1 && rank.number == 2 && !std::exchange(flipped, true)) vote.parameters_digest ^= 1;
    };
    start(world, 4);
    world.run();
    EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
    EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 2 has other parameters after step 1 than the rest")));
    EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 2 held other bytes than those that step 2")));
    EXPECT_EQ(world.rollbacks.size(), keep_state ? 0U : 1U);
    EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
  }
}

TEST(CoordinatorDistrusts, AnEvaluationOfOtherParametersIsDoneAgain) {
  CoordinatorOptions options = options_for(3, {.eval_every = 2});
  options.keep_state = true;
  SimulatedWorld world(options, workload_of(4, 6));
  bool spoiled = false;
  world.spoil = [&](SimulatedRank& rank, std::uint64_t step) {
    return step == 2 && rank.number == 1 && !std::exchange(spoiled, true);
  };
  start(world, 3);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.evaluations.size(), 3U);
  EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 1 held other bytes than those that step 3")));
  EXPECT_TRUE(world.rollbacks.empty());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
}

TEST(CoordinatorDistrusts, WhoAloneHasOtherParametersForEverIsPutOut) {
  CoordinatorOptions options = options_for(4);
  options.keep_state = true;
  SimulatedWorld world(options, workload_of(4, 6));
  world.change_vote = [&](SimulatedRank& rank, Prepared& vote) {
    if (vote.step == 1 && rank.number == 2) vote.parameters_digest ^= 1;
  };
  start(world, 4);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.rank(2), nullptr);
  EXPECT_EQ(world.alive(), 3U);
  EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
}

TEST(CoordinatorDistrusts, OldStampsAndSecondVotesAreCountedAndDropped) {
  SimulatedWorld world(options_for(2), workload_of(4, 6));
  start(world, 2);
  std::uint64_t sent = 0;
  world.run([&](SimulatedWorld& w) {
    if (w.coordinator().view().size() == 0 || w.finished) return;
    const Stamp stamp = w.coordinator().view().stamp;
    Stamp old = stamp;
    --old.view;
    w.send(1, Prepared{old, w.done(), {}, {}});
    w.send(0, Progress{old, w.done(), {0, 1e9, 1, 1, {}}});
    w.send(1, Evaluated{stamp, w.done(), {}});
    w.send(1, ResultWritten{old, {}, ""});
    w.send(1, ShardWritten{stamp, 99, "x", std::string(64, 'a'), 1});
    if (w.done() > 0) w.send(0, Prepared{stamp, w.done() - 1, {}, {}});
    sent += w.done() > 0 ? 6 : 5;
  });
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
  EXPECT_EQ(world.coordinator().ignored(), sent);
}

TEST(CoordinatorDistrusts, WhoSaysWhatNoRankSaysIsClosed) {
  const auto broken = [](const char* what, const std::function<MemberMessage(const Stamp&)>& message) {
    SimulatedWorld world(options_for(2), workload_of(4, 6));
    start(world, 2);
    while (world.coordinator().view().size() == 0) world.deliver_one();
    world.send(1, message(world.coordinator().view().stamp));
    EXPECT_EQ(world.alive(), 1U) << what;
    world.run();
    EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << what;
    EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
  };
  broken("a micro-batch of another", [](const Stamp& stamp) { return Progress{stamp, 0, {0, 1, 1, 1, {}}}; });
  broken("no micro-batch", [](const Stamp& stamp) { return Progress{stamp, 0, {600, 1, 1, 1, {}}}; });
  broken("a vote too early", [](const Stamp& stamp) { return Prepared{stamp, 0, {}, {}}; });
  broken("a second Join", [](const Stamp&) { return Join{{.rank = 1}}; });
  broken("a Rejoin after the Join", [](const Stamp&) { return Rejoin{.self = {.rank = 1, .incarnation = 1}}; });
}

}  // namespace
}  // namespace cadre::runtime
