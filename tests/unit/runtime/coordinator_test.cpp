// Whole runs of the coordinator among simulated ranks: what is ordered, saved, evaluated, and how a run ends.
#include "runtime/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "runtime/run_course.h"
#include "tests/unit/runtime/plain_runs.h"

namespace cadre::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Coordinator, ARunOfAnyNumberOfRanksEndsWithTheSameParameters) {
  for (std::size_t ranks = 1; ranks <= 8; ++ranks) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      SimulatedWorld world(options_for(ranks, {.max_grad_norm = 1}), workload_of(7, 6), seed);
      start(world, ranks);
      world.run();
      ASSERT_TRUE(world.finished.has_value()) << ranks << " ranks, seed " << seed;
      EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
      EXPECT_EQ(world.result_parameters, world.expected_parameters(7));
      EXPECT_EQ(world.commits.size(), 7U);
      EXPECT_LT(world.commits[0].clip_scale, 1);
      EXPECT_EQ(world.finished->result_sha256.at("adapter_model.safetensors"), std::to_string(world.result_parameters));
      EXPECT_EQ(world.finished->result_of, "step 7 (the last)");
      EXPECT_THAT(world.events, ElementsAre("started 0", "view 0", "checkpoint 7", "succeeded 7"));
      EXPECT_EQ(world.coordinator().ignored(), 0U);
      EXPECT_EQ(world.alive(), ranks);
    }
  }
}

TEST(Coordinator, OrdersFollowThePolicy) {
  SimulatedWorld world(options_for(1, {.eval_every = 2, .save_every = 3}), workload_of(5, 2));
  world.validation_loss = [](std::uint64_t step) { return step == 4 ? 9.0 : 10.0 - 0.1 * static_cast<double>(step); };
  start(world, 1);
  world.run();
  // The best ones are saved after their evaluation; step 5, no better than step 4, for being the last.
  EXPECT_THAT(world.orders,
              ElementsAre("evaluate 0", "train 0", "train 1", "evaluate 2", "train 2 snapshot", "train 3 snapshot",
                          "evaluate 4", "train 4 snapshot", "evaluate 5", "wait 5 snapshot", "write 5", "end 5"));
  // Step 2 was kept only for being the best.
  EXPECT_THAT(world.checkpoints, ElementsAre(3, 4, 5));
  EXPECT_EQ(world.evaluations.size(), 4U);
}

TEST(Coordinator, NoCheckpointIsTakenTwice) {
  SimulatedWorld world(options_for(2, {.eval_every = 1, .save_every = 1}), workload_of(4, 2));
  start(world, 2);
  world.run();
  EXPECT_EQ(world.manifests.size(), 4U);
  EXPECT_THAT(world.checkpoints, ElementsAre(1, 2, 3, 4));
}

TEST(Coordinator, OldCheckpointsGoAndTheBestStays) {
  SimulatedWorld world(options_for(2, {.eval_every = 2, .save_every = 1, .save_total_limit = 2}), workload_of(8, 2));
  world.validation_loss = [](std::uint64_t step) { return step == 2 ? 1.0 : 5.0; };
  start(world, 2);
  world.run();
  EXPECT_THAT(world.checkpoints, ElementsAre(2, 7, 8));
}

TEST(Coordinator, PatienceEndsTheRunAndTheBestIsTheResult) {
  SimulatedWorld world(options_for(3, {.eval_every = 2, .patience = 2}), workload_of(20, 4));
  world.validation_loss = [](std::uint64_t step) { return std::abs(static_cast<double>(step) - 4.0); };
  start(world, 3);
  world.run();
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_EQ(world.done(), 8U);
  EXPECT_EQ(world.result_parameters, world.expected_parameters(4));
  EXPECT_EQ(world.finished->result_of, "step 4 (the best validation loss)");
  EXPECT_EQ(world.result_order->checkpoint, "/run/checkpoints/step-00000004");
  EXPECT_THAT(world.events, Contains("early_stopping 8"));
  EXPECT_THAT(world.checkpoints, ElementsAre(4, 8));
}

TEST(Coordinator, TheSeededStartCanBeTheBest) {
  SimulatedWorld world(options_for(2, {.eval_every = 1, .patience = 2}), workload_of(20, 4));
  world.validation_loss = [](std::uint64_t step) { return static_cast<double>(step); };
  start(world, 2);
  world.run();
  EXPECT_EQ(world.done(), 2U);
  EXPECT_EQ(world.result_order->checkpoint, kSeededStart);
  EXPECT_EQ(world.result_parameters, kSeededParameters);
}

TEST(Coordinator, ABestThatWasNotKeptIsSaidAndTheLastIsTheResult) {
  SimulatedWorld world(options_for(2, {.eval_every = 2, .patience = 1}), workload_of(20, 4));
  world.validation_loss = [](std::uint64_t step) { return std::abs(static_cast<double>(step) - 2.0); };
  world.publishing = [](std::uint64_t step) { return step == 2 ? "the disk is full" : ""; };
  start(world, 2);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_EQ(world.finished->result_of, "step 4 (the last; the best, step 2, was not kept)");
  EXPECT_THAT(world.warnings, Contains(HasSubstr("no checkpoint was written: the disk is full")));
}

TEST(Coordinator, AFailedShardCostsOnlyItsCheckpoint) {
  SimulatedWorld world(options_for(3, {.save_every = 2}), workload_of(6, 4));
  world.writing = [](Rank rank, std::uint64_t step) { return rank == 1 && step != 2 ? "no space left" : ""; };
  start(world, 3);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_THAT(world.checkpoints, ElementsAre(2));
  EXPECT_THAT(world.events, Contains("checkpoint_failed 4"));
  EXPECT_THAT(world.warnings, Contains("step 6: no checkpoint was written: rank 1: no space left"));
}

TEST(Coordinator, AStopWaitsForTheStepAndItsCheckpoint) {
  for (std::size_t after = 0; after < 60; ++after) {
    SimulatedWorld world(options_for(2, {.eval_every = 3}), workload_of(9, 4), after);
    start(world, 2);
    for (std::size_t delivered = 0; delivered < after; ++delivered) world.deliver_one();
    const std::uint64_t before = world.done();
    world.stop();
    world.run();
    ASSERT_TRUE(world.finished.has_value()) << after;
    EXPECT_EQ(world.finished->outcome, RunOutcome::kStopped);
    EXPECT_LE(world.done(), before + 1);
    if (world.done() > 0) {
      ASSERT_EQ(world.checkpoints.count(world.done()), 1U);
      EXPECT_EQ(world.events.back(), "stopped " + std::to_string(world.done()));

      // The next start goes on from there, with the same best, to the same end.
      CoordinatorOptions options = options_for(2, {.eval_every = 3});
      options.start = {"/run/checkpoints/" + checkpoint_name(world.done()), world.manifests.back()};
      options.published = world.checkpoints;
      SimulatedWorld resumed(options, workload_of(9, 4));
      start(resumed, 2);
      resumed.run();
      ASSERT_TRUE(resumed.finished.has_value());
      EXPECT_EQ(resumed.finished->outcome, RunOutcome::kSucceeded);
      EXPECT_EQ(resumed.result_parameters, resumed.expected_parameters(9));
      EXPECT_EQ(world.evaluations.size() + resumed.evaluations.size(), 4U);
      EXPECT_THAT(resumed.events, Contains("resumed " + std::to_string(world.done())));
    }
  }
}

TEST(Coordinator, AStopWithoutItsCheckpointIsAFailure) {
  SimulatedWorld world(options_for(2), workload_of(9, 4));
  world.publishing = [](std::uint64_t) { return "the disk is full"; };
  start(world, 2);
  world.run([](SimulatedWorld& w) {
    if (w.done() == 3) w.stop();
  });
  EXPECT_EQ(world.finished->outcome, RunOutcome::kFailed);
  EXPECT_THAT(world.finished->reason, HasSubstr("the checkpoint could not be written"));
}

TEST(Coordinator, AWindowOfMetricsOutlivesAResume) {
  CoordinatorOptions options = options_for(2, {.save_every = 2});
  options.logging_steps = 3;
  SimulatedWorld whole(options, workload_of(9, 4));
  start(whole, 2);
  whole.run();
  options.start = {"/run/checkpoints/step-00000002", whole.manifests.front()};
  options.published = {2};
  SimulatedWorld resumed(options, workload_of(9, 4));
  start(resumed, 2);
  resumed.run();
  ASSERT_EQ(resumed.commits.size(), 7U);
  for (std::size_t c = 0; c < resumed.commits.size(); ++c) {
    EXPECT_EQ(resumed.commits[c].window, whole.commits[c + 2].window);
    EXPECT_EQ(resumed.commits[c].window.steps, (resumed.commits[c].step - 1) % 3 + 1);
    EXPECT_EQ(resumed.commits[c].logged, whole.commits[c + 2].step % 3 == 0);
  }
}

// ---- gathering

TEST(Coordinator, NumbersAreGivenOnce) {
  SimulatedWorld world(options_for(3), workload_of(2, 4));
  world.start_rank(1);
  const Connection twice = world.start_rank(1);
  world.start_rank(7);
  world.start_rank(kAnyRank);
  world.start_rank(kAnyRank);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_EQ(world.alive(), 3U);
  static_cast<void>(twice);
  std::set<Rank> numbers;
  for (const Member& member : world.coordinator().view().members) numbers.insert(member.rank);
  EXPECT_THAT(numbers, ElementsAre(0, 1, 2));
}

TEST(Coordinator, WhoIsMissingIsNamed) {
  SimulatedWorld world(options_for(4), workload_of(2, 4));
  world.start_rank(0);
  world.start_rank(2);
  world.run();
  world.pass(std::chrono::seconds(299));
  EXPECT_FALSE(world.finished.has_value());
  world.pass(std::chrono::seconds(3));
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kFailed);
  EXPECT_THAT(world.finished->reason, HasSubstr("ranks 1 and 3 did not come within 300 s"));
}

// From a slow disk a large model takes its time; but not for ever.
TEST(Coordinator, WhoLoadsIsWaitedForAnHour) {
  Coordinator coordinator(options_for(2), {});
  const auto at = [](int minutes) { return TimePoint{} + std::chrono::minutes(minutes); };
  for (const Rank rank : {0U, 1U}) coordinator.on_message(rank + 1, Join{{.rank = rank}}, {});
  coordinator.on_message(1, Ready{workload_of(2, 4), {}}, {});
  TimePoint now{};
  const auto pass_until = [&](TimePoint end) {
    for (; now < end && !coordinator.finished(); now += std::chrono::seconds(1)) {
      for (const Connection one : {1U, 2U}) coordinator.on_message(one, Heartbeat{}, now);
      coordinator.on_tick(now);
    }
  };
  pass_until(at(59));
  EXPECT_FALSE(coordinator.finished());
  pass_until(at(61));
  EXPECT_TRUE(coordinator.finished());
}

TEST(Coordinator, OneThatDiesBeforeTheStartMayComeAgain) {
  SimulatedWorld world(options_for(2), workload_of(2, 4));
  world.start_rank(0);
  world.run();
  world.kill(0);
  world.start_rank(0);
  world.start_rank(1);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_EQ(world.coordinator().view().members[0].incarnation, 2U);
}

TEST(Coordinator, DifferentWorkIsNamed) {
  struct Case {
    std::function<void(Workload&)> change;
    const char* word;
  };
  const std::vector<Case> cases = {
      {[](Workload& w) { w = workload_of(12, 4); }, "12 steps instead of 10"},
      {[](Workload& w) { w.digest = "other"; }, "other data"},
      {[](Workload& w) { w.instructions = "MKL_CBWR=AVX512"; }, "instructions MKL_CBWR=AVX512 instead of "},
      {[](Workload& w) { w.known_answer = 7; }, "another result of the same micro-batch"},
  };
  for (const Case& one : cases) {
    Coordinator coordinator(options_for(3), {});
    Effects effects;
    for (Rank rank = 0; rank < 3; ++rank) {
      Workload work = workload_of(10, 4);
      if (rank == 1) one.change(work);
      coordinator.on_message(rank + 1, Join{{.rank = rank}}, {});
      effects = coordinator.on_message(rank + 1, Ready{work, {}}, {});
    }
    const auto& finished = std::get<Finished>(effects.back());
    EXPECT_EQ(finished.outcome, RunOutcome::kUserError);
    EXPECT_THAT(finished.reason, HasSubstr("rank 1 has other work than rank 0: rank 1 has "));
    EXPECT_THAT(finished.reason, HasSubstr(one.word));
  }
}

TEST(Coordinator, UnsoundWorkEndsTheRun) {
  struct Case {
    const char* what;
    Workload workload;
  };
  Workload huge = workload_of(3, 4), few = workload_of(3, 4), none = workload_of(3, 4), empty = workload_of(3, 4);
  huge.elements = ~std::uint64_t{0};
  few.total_steps = 4;
  none.total_steps = 0;
  empty.epochs[0].micro_batches = 0;
  for (const Case& c :
       std::vector<Case>{{"too many", huge}, {"fewer than", few}, {"no step", none}, {"an epoch", empty}}) {
    Coordinator coordinator(options_for(1), {});
    coordinator.on_message(1, Join{{.rank = 0}}, {});
    const Effects effects = coordinator.on_message(1, Ready{c.workload, {}}, {});
    EXPECT_THAT(std::get<Finished>(effects.back()).reason, HasSubstr(c.what));
  }
}

TEST(Coordinator, ACheckpointOfOtherWorkIsRefused) {
  SimulatedWorld world(options_for(1, {.save_every = 2}), workload_of(4, 4));
  start(world, 1);
  world.run();
  CoordinatorOptions options = options_for(1);
  options.start = {"/run/checkpoints/step-00000002", world.manifests.front()};
  options.published = {2};
  Workload other = workload_of(4, 4);
  other.layout = "another";
  SimulatedWorld resumed(options, other);
  start(resumed, 1);
  resumed.run();
  EXPECT_EQ(resumed.finished->outcome, RunOutcome::kUserError);
  EXPECT_THAT(resumed.finished->reason, HasSubstr("another model"));
}

TEST(Coordinator, TheResultIsWrittenByARankThatSharesTheFolder) {
  SimulatedWorld world(options_for(3), workload_of(3, 4));
  world.start_rank(0);
  world.start_rank(1, true);
  world.start_rank(2, true);
  world.run([](SimulatedWorld& it) {
    if (it.done() == 2 && it.rank(1) != nullptr) it.kill(1);
  });
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded);
  EXPECT_EQ(world.result_by, 2U);
}

// ---- speeds

TEST(Coordinator, ASlowRankGetsFewerMicroBatches) {
  CoordinatorOptions options = options_for(3, {.shares_by_speed = true});
  options.keep_state = true;
  SimulatedWorld world(options, workload_of(30, 20));
  world.seconds_of = [](SimulatedRank& rank) { return rank.number == 1 ? 2.0 : 1.0; };
  start(world, 3);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.result_parameters, world.expected_parameters(30));
  EXPECT_EQ(world.computed, 30U * 20U);
  std::map<Rank, int> counts;
  for (const LedgerEntry& entry : world.commits.back().micro_batches) ++counts[entry.rank];
  EXPECT_EQ(counts[1], 4);
  EXPECT_EQ(counts[0] + counts[2], 16);
  EXPECT_THAT(world.events, ElementsAre("started 0", "view 0", "checkpoint 30", "succeeded 30")) << "no new view";
}

TEST(Coordinator, NonFiniteGradientsEndTheRun) {
  SimulatedWorld world(options_for(2), workload_of(4, 6));
  world.change_vote = [&](SimulatedRank&, Prepared& vote) {
    if (vote.step == 1 && !vote.norms.empty()) vote.norms[0].squares = std::numeric_limits<double>::infinity();
  };
  start(world, 2);
  world.run();
  EXPECT_EQ(world.finished->outcome, RunOutcome::kFailed);
  EXPECT_THAT(world.finished->reason, HasSubstr("step 2: the loss is "));
  EXPECT_THAT(world.finished->reason, HasSubstr("the gradient's norm inf; a lower learning_rate"));
  EXPECT_THAT(world.events, Contains("non_finite 2"));
  EXPECT_EQ(world.done(), 1U);
}

TEST(Coordinator, StepsThatAreNotFiniteCanBeSkipped) {
  for (std::size_t ranks = 1; ranks <= 4; ++ranks) {
    SimulatedWorld world(options_for(ranks, {.max_grad_norm = 1, .skips_nonfinite = true}), workload_of(6, 6), ranks);
    world.nonfinite = {1, 2, 5};
    start(world, ranks);
    world.run();
    ASSERT_TRUE(world.finished.has_value());
    EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
    EXPECT_EQ(world.result_parameters, world.expected_parameters(6));
    std::vector<bool> skipped;
    for (const Committed& commit : world.commits) skipped.push_back(commit.is_skipped);
    EXPECT_THAT(skipped, ElementsAre(false, true, true, false, false, true));
    EXPECT_THAT(world.events, ElementsAre("started 0", "view 0", "non_finite 2", "non_finite 3", "non_finite 6",
                                          "checkpoint 6", "succeeded 6"));
    EXPECT_THAT(world.warnings, Contains(HasSubstr("the step is skipped")));
  }
}

TEST(Coordinator, SkippedStepsAreNoneOfAWindowsLoss) {
  RunCourse course;
  const Workload workload = workload_of(4, 6);
  for (const bool is_skipped : {false, true, false}) {
    Committed step;
    step.step = course.done + 1;
    step.loss = is_skipped ? std::nan("") : 2;
    step.is_skipped = is_skipped;
    step.tokens = 10;
    settle(step, course, 4, workload);
  }
  EXPECT_EQ(course.window, (Window{.loss_sum = 4, .steps = 2, .tokens = 30, .skipped = 1}));
  Manifest manifest{.step = 3};
  manifest.state = state_of(course, workload);
  EXPECT_EQ(course_of(manifest).window, course.window);
}

}  // namespace
}  // namespace cadre::runtime
