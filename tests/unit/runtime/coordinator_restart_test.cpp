// The coordinator dies, at every point of a run, and another goes on from its journal: the run ends with the
// parameters, losses and evaluations of an undisturbed one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "tests/unit/runtime/simulated_world.h"

namespace cadre::runtime {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kSteps = 6;

CoordinatorOptions options_for(std::size_t ranks, bool keep_state) {
  return {.run_id = "a run",
          .expected_ranks = ranks,
          .policy = {.eval_every = 3, .save_every = 2, .max_grad_norm = 1},
          .logging_steps = 4,
          .keep_state = keep_state,
          .launch = "this start",
          .checkpoints = "/run/checkpoints"};
}

SimulatedWorld world_of(std::size_t ranks, bool keep_state, std::uint64_t seed) {
  SimulatedWorld world(options_for(ranks, keep_state), workload_of(kSteps, 8), seed);
  for (Rank rank = 0; rank < ranks; ++rank) world.start_rank(rank);
  return world;
}

// What the records have of the run, the last generation of each step.
using Line = std::tuple<double, double, std::uint64_t>;
std::map<std::uint64_t, Line> lines_of(const SimulatedWorld& world) {
  std::map<std::uint64_t, Line> lines;
  for (const Committed& commit : world.commits) {
    lines[commit.step] = {commit.loss, commit.logged ? commit.window.loss_sum : 0, commit.window.tokens};
  }
  return lines;
}
std::map<std::uint64_t, double> losses_of(const SimulatedWorld& world) {
  std::map<std::uint64_t, double> losses;
  for (const EvaluationDone& evaluation : world.evaluations) losses[evaluation.step] = evaluation.loss;
  return losses;
}

void expect_as_undisturbed(SimulatedWorld& world, std::size_t ranks, bool keep_state) {
  SimulatedWorld undisturbed = world_of(ranks, keep_state, 1);
  undisturbed.run();
  if (!world.finished) world.pass(500ms);
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.finished->result_sha256, undisturbed.finished->result_sha256);
  EXPECT_EQ(world.finished->result_of, undisturbed.finished->result_of);
  EXPECT_EQ(lines_of(world), lines_of(undisturbed));
  EXPECT_EQ(losses_of(world), losses_of(undisturbed));
  // Perhaps with one that was to be removed.
  EXPECT_TRUE(std::includes(world.checkpoints.begin(), world.checkpoints.end(), undisturbed.checkpoints.begin(),
                            undisturbed.checkpoints.end()));
}

struct Case {
  bool keep_state;
  std::size_t ranks;
};

class CoordinatorRestart : public testing::TestWithParam<Case> {};

// Between any two effects: also with a commit in the journal that no rank has heard of, or only some.
TEST_P(CoordinatorRestart, MayHappenAtAnyPoint) {
  const auto [keep_state, ranks] = GetParam();
  std::size_t recoveries = 0;
  constexpr std::size_t kSeeds = 8;
  for (std::size_t round = 0;; ++round) {
    const std::size_t at = round / kSeeds;
    SCOPED_TRACE(testing::Message() << "after " << at << " effects, seed " << round);
    SimulatedWorld world = world_of(ranks, keep_state, round);
    world.dies_in = at;
    world.run();
    if (world.restarts == 0) {
      ASSERT_GT(at, 40U);
      break;
    }
    expect_as_undisturbed(world, ranks, keep_state);
    EXPECT_THAT(world.warnings, testing::Each(testing::Not(HasSubstr("lost"))));
    recoveries += world.recoveries;
  }
  EXPECT_EQ(recoveries > 5, keep_state) << recoveries;
}

TEST_P(CoordinatorRestart, MayHappenAgainAndAgain) {
  const auto [keep_state, ranks] = GetParam();
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SimulatedWorld world = world_of(ranks, keep_state, seed);
    std::mt19937_64 random(seed);
    world.run([&](SimulatedWorld& w) {
      if (w.restarts < 6 && random() % 20 == 0) w.dies_in = random() % 8;
    });
    world.dies_in.reset();
    expect_as_undisturbed(world, ranks, keep_state);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CoordinatorRestart,
                         testing::Values(Case{false, 1}, Case{false, 2}, Case{false, 5}, Case{true, 1}, Case{true, 2},
                                         Case{true, 5}));

// With state to go on from, nothing that was committed is done again, and of the step in hand only what was not sent.
TEST(CoordinatorTakesOver, NoStepIsDoneAgain) {
  std::size_t at = 0, recovered = 0;
  for (; at < 100; ++at) {
    SCOPED_TRACE(testing::Message() << "after " << at << " effects");
    CoordinatorOptions options = options_for(3, true);
    options.policy = {.eval_every = 3, .max_grad_norm = 1};
    SimulatedWorld world(options, workload_of(kSteps, 8), at);
    // Never better than before the start, so that there is no checkpoint until the end.
    world.validation_loss = [](std::uint64_t step) { return 1.0 + static_cast<double>(step); };
    for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
    world.dies_in = at;
    world.run();
    if (!world.finished) world.pass(500ms);
    ASSERT_TRUE(world.finished.has_value());
    EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
    if (world.recoveries == 0) continue;
    ++recovered;
    EXPECT_TRUE(world.rollbacks.empty());
    EXPECT_THAT(world.events, testing::Not(Contains(testing::StartsWith("rollback"))));
    EXPECT_LE(world.commits.size(), kSteps + 1);  // the last one may be recorded twice
    EXPECT_LE(world.computed, kSteps * 8 + 8);
    EXPECT_LE(world.evaluations.size(), 4U);
  }
  EXPECT_GT(recovered, 10U);
}

SimulatedWorld restarted_after_step(std::uint64_t step, std::size_t ranks) {
  SimulatedWorld world = world_of(ranks, false, 1);
  while (world.done() < step) EXPECT_TRUE(world.deliver_one());
  world.restart_coordinator();
  return world;
}

TEST(CoordinatorTakesOver, NobodyIsLostBeforeTheHeartbeatLimit) {
  SimulatedWorld world = restarted_after_step(3, 3);
  world.silent = {2};
  world.run();
  world.pass(3s);
  EXPECT_THAT(world.warnings, IsEmpty());
  EXPECT_FALSE(world.finished.has_value());
  world.silent = {};
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
  EXPECT_EQ(world.alive(), 3U);
}

TEST(CoordinatorTakesOver, ARankThatDoesNotComeBackIsLostThen) {
  SimulatedWorld world = restarted_after_step(3, 3);
  world.silent = {2};
  world.run();
  world.pass(4s);
  EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 2: did not come back to the coordinator within 3 s")));
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
  EXPECT_EQ(world.coordinator().view().size(), 2U);
}

// It died with the coordinator.
TEST(CoordinatorTakesOver, ARankWhoseProcessHasEndedIsNotWaitedFor) {
  SimulatedWorld world = world_of(3, true, 1);
  while (world.done() < 3) EXPECT_TRUE(world.deliver_one());
  world.rank(2)->alive = false;
  world.restart_coordinator();
  world.run();
  world.say_ended(2, SimulatedWorld::kPid + 1);  // an earlier one
  world.run();
  EXPECT_FALSE(world.finished.has_value());
  world.say_ended(2);
  EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 2: its process has ended: signal 9 (Killed), and is lost")));
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
  EXPECT_EQ(world.coordinator().view().size(), 2U);
  EXPECT_EQ(world.recoveries, 1U);
}

// The last word of it comes before its connection's end.
TEST(CoordinatorTakesOver, ARankThatCameBackAndEndedIsLostAtOnce) {
  SimulatedWorld world = restarted_after_step(3, 3);
  world.silent = {0, 1};
  world.run();
  world.rank(2)->alive = false;
  world.say_ended(2);
  EXPECT_THAT(world.warnings, Contains(HasSubstr("rank 2 is lost: its process has ended: signal 9 (Killed)")));
  world.silent = {};
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
  EXPECT_EQ(world.coordinator().view().size(), 2U);
}

// It is nothing that ended: another process has the number by now, and no coordinator was lost.
TEST(CoordinatorTakesOver, TheEndOfAProcessConcernsNoOther) {
  SimulatedWorld world = world_of(3, true, 1);
  while (world.done() < 2) EXPECT_TRUE(world.deliver_one());
  world.say_ended(1);
  world.rank(2)->alive = false;
  world.restart_coordinator();
  world.start_rank(2);
  world.silent = {0, 1};
  world.run();
  world.say_ended(2);
  world.silent = {};
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
  EXPECT_EQ(world.coordinator().view().size(), 3U);
  EXPECT_THAT(world.warnings, testing::Not(Contains(HasSubstr("its process has ended"))));
}

// It died with the coordinator, and the launcher has started it again: what it held others hold too.
TEST(CoordinatorTakesOver, ANewProcessInTheDeadOnesPlaceComesIn) {
  SimulatedWorld world = world_of(3, true, 1);
  while (world.done() < 3) EXPECT_TRUE(world.deliver_one());
  world.rank(2)->alive = false;
  world.restart_coordinator();
  world.start_rank(2);
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
  EXPECT_EQ(world.rank(2)->incarnation, 2U);
  EXPECT_EQ(world.recoveries, 1U);
  EXPECT_EQ(world.loads, 1U);
  EXPECT_THAT(world.events, testing::Not(Contains(testing::StartsWith("rollback"))));
}

// Of a run without a checkpoint to go back to.
SimulatedWorld world_without_checkpoints(std::uint64_t seed) {
  CoordinatorOptions options = options_for(3, true);
  options.policy = {.eval_every = 3, .max_grad_norm = 1};
  SimulatedWorld world(options, workload_of(kSteps, 8), seed);
  world.validation_loss = [](std::uint64_t step) { return 1.0 + static_cast<double>(step); };
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  return world;
}

TEST(CoordinatorTakesOver, WithAllStateButNotAllRanksNoStepIsDoneAgain) {
  SimulatedWorld world = world_without_checkpoints(1);
  while (world.done() < 3) EXPECT_TRUE(world.deliver_one());
  world.rank(2)->alive = false;
  world.restart_coordinator();
  world.run();
  world.pass(4s);
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
  EXPECT_EQ(world.recoveries, 1U);
  EXPECT_EQ(world.loads, 1U);
  EXPECT_EQ(world.commits.back().ranks, 2U);
}

// Some may have heard of the last commit or of the view in which it comes in, and others not.
TEST(CoordinatorTakesOver, AlsoWhileARankComesIn) {
  std::size_t recoveries = 0;
  constexpr std::size_t kEffects = 16, kSeeds = 24;  // the last step is not committed by then
  for (std::size_t round = 0; round < kEffects * kSeeds; ++round) {
    const std::size_t at = round / kSeeds;
    SCOPED_TRACE(testing::Message() << "after " << at << " effects, seed " << round);
    SimulatedWorld world = world_without_checkpoints(round);
    bool happened = false;
    world.run([&](SimulatedWorld& w) {
      if (w.done() != 2 || std::exchange(happened, true)) return;
      w.kill(1);
      w.start_rank(1);
      w.dies_in = at;
    });
    if (!world.finished) world.pass(4s);
    world.run();
    ASSERT_TRUE(world.finished.has_value());
    EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
    EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
    if (world.restarts == 0) continue;
    recoveries += world.recoveries;
    EXPECT_THAT(world.events, testing::Not(Contains(testing::StartsWith("rollback"))));
    EXPECT_EQ(world.loads, 1U);
  }
  EXPECT_GT(recoveries, 200U);
}

// The seeded start has no checkpoint that would carry its validation loss.
TEST(CoordinatorTakesOver, TheEvaluationOfTheSeededStartIsKept) {
  CoordinatorOptions options = options_for(3, true);
  options.policy = {.eval_every = 3, .patience = 9};
  SimulatedWorld world(options, workload_of(kSteps, 8));
  world.validation_loss = [](std::uint64_t step) { return 1.0 + static_cast<double>(step); };
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  while (world.done() < 2) EXPECT_TRUE(world.deliver_one());
  world.restart_coordinator();
  world.run();
  EXPECT_EQ(world.recoveries, 1U);
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->result_of, "step 0 (the best validation loss)");
  EXPECT_EQ(world.result_parameters, kSeededParameters);
}

// All ranks went, and the coordinator after them: the same start of the run, nobody to take over, steps done again.
TEST(CoordinatorTakesOver, WithNobodyLeftTheStepsAreOfAnotherGeneration) {
  SimulatedWorld world = world_of(2, true, 1);
  while (world.done() < 1) EXPECT_TRUE(world.deliver_one());
  world.dies_in = 3;  // with the loss of the last one in the journal, and not the end
  for (Rank rank = 0; rank < 2; ++rank) world.kill(rank);
  ASSERT_EQ(world.restarts, 1U);
  for (Rank rank = 0; rank < 2; ++rank) world.start_rank(rank);
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.commits.at(1).stamp.generation, 1U);
}

// Its machine died, and what the kernel had not written of the journal: the ranks have more than the journal says.
TEST(CoordinatorTakesOver, RanksThatAreAheadOfTheJournalLoad) {
  SimulatedWorld world = world_of(3, true, 1);
  while (world.done() < 3) EXPECT_TRUE(world.deliver_one());
  world.forgets_commits_after = 1;
  world.restart_coordinator();
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.recoveries, 0U);
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
}

TEST(CoordinatorTakesOver, WithoutAnyRankTheRunEnds) {
  SimulatedWorld world = restarted_after_step(3, 2);
  world.silent = {0, 1};
  world.pass(4s);
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kStopped);
  EXPECT_THAT(world.finished->reason, HasSubstr("0 of 2 ranks have come back to the coordinator and 1 are needed"));
}

TEST(CoordinatorTakesOver, AStopWaitsForTheRanks) {
  SimulatedWorld world = restarted_after_step(3, 3);
  world.stop();
  EXPECT_FALSE(world.finished.has_value());
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kStopped) << world.finished->reason;
  for (Rank rank = 0; rank < 3; ++rank) EXPECT_TRUE(world.rank(rank)->ended.has_value());
}

TEST(CoordinatorTakesOver, AnOlderIncarnationIsRefused) {
  SimulatedWorld world = world_of(2, false, 1);
  while (world.done() < 2) EXPECT_TRUE(world.deliver_one());
  const Rejoin old{{.rank = 1, .incarnation = 1}, {1, 0, 1}, 2, true, workload_of(kSteps, 8)};
  world.kill(1);
  world.start_rank(1);
  while (world.done() < 4) EXPECT_TRUE(world.deliver_one());
  EXPECT_EQ(world.rank(1)->incarnation, 2U);
  world.restart_coordinator();
  const Connection connection = world.start_rank(0);
  world.send_from(connection, old);
  EXPECT_THAT(world.refusal_of(connection), HasSubstr("rank 1 is another process by now"));
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
}

// A network that drops a connection, with the coordinator alive: the rank takes part again. It was lost where the end
// of its connection was seen before it had connected anew.
TEST(CoordinatorRejoin, ARankWhoseConnectionIsLostTakesPartAgain) {
  for (const bool seen_first : {true, false}) {
    SimulatedWorld world = world_of(3, true, 1);
    while (world.done() < 2) EXPECT_TRUE(world.deliver_one());
    world.reconnect(2, seen_first);
    world.run();
    ASSERT_TRUE(world.finished.has_value());
    EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
    EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
    EXPECT_EQ(world.coordinator().view().size(), 3U);
    EXPECT_EQ(world.rank(2)->incarnation, seen_first ? 2U : 1U);
  }
}

// One that hangs would come back again and again: its control thread is alive.
TEST(CoordinatorRejoin, ARankWithoutProgressIsToldNotToComeBack) {
  CoordinatorOptions options = options_for(2, false);
  options.progress_limit = 10s;
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 2; ++rank) world.start_rank(rank);
  while (world.done() < 2) EXPECT_TRUE(world.deliver_one());
  const Connection hung = world.rank(1)->connection;
  world.rank(1)->outbox.clear();
  world.run();
  world.pass(20s);
  EXPECT_THAT(world.refusal_of(hung), HasSubstr("without progress for 10 s"));
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
}

}  // namespace
}  // namespace cadre::runtime
