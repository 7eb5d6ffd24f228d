// Checkpoints under way when a rank is lost, those that cannot be written, and those that were damaged since.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/placement.h"
#include "tests/unit/runtime/lossy_runs.h"

namespace cadre::runtime {
namespace {

using testing::Contains;

// A rank may be lost when it has written its shard, and others have not even heard that they shall.
TEST(CoordinatorRecovery, ASnapshotThatNotAllHaveBegunIsTakenAgain) {
  for (const Rank slow : {1, 2}) {
    SimulatedWorld world = world_of(3, true, 1);
    world.run([&](SimulatedWorld& w) {
      if (w.done() == 1) w.gathering = {slow};
    });
    EXPECT_FALSE(world.finished);
    EXPECT_EQ(world.done(), 2U);
    world.gathering.clear();
    world.kill(0);
    world.run();
    expect_success(world);
    EXPECT_TRUE(world.rollbacks.empty());
    EXPECT_THAT(world.events, Contains("checkpoint 2"));
  }
}

// What some have written of it goes first: on a disk that is full the result needs the room.
TEST(CoordinatorRecovery, ACheckpointIsGivenUpWhenEveryRankHasToldOfItsShard) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedWorld world = world_of(3, true, seed);
    std::size_t shards = 0;
    world.writing = [&](Rank rank, std::uint64_t step) {
      shards += step == kSteps;
      return step == kSteps && rank != 1 ? "no space left on device" : "";
    };
    world.publishes_at_once = false;
    world.run();
    while (!world.finished) {
      if (world.done() == kSteps && shards > 0) {
        EXPECT_EQ(shards, 3U);
        EXPECT_EQ(std::count(world.orders.begin(), world.orders.end(), "write 6"), 0);
      }
      world.publish_pending();
      world.run();
    }
    expect_success(world);
    EXPECT_EQ(std::count(world.events.begin(), world.events.end(), "checkpoint_failed 6"), 1);
  }
}

// A disk that hangs costs periodic checkpoints; the best step's and the last one wait for their turn.
TEST(CoordinatorRecovery, OnlyACheckpointThatIsNeededWaitsForTheOneBefore) {
  CoordinatorOptions options = options_for(3, true);
  options.policy = {.eval_every = 5, .save_every = 2, .patience = 9};
  SimulatedWorld world(options, workload_of(kSteps, 8));
  world.validation_loss = [](std::uint64_t step) { return step == 5 ? 1.0 : 10.0; };
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  world.publishes_at_once = false;
  world.run();
  EXPECT_EQ(world.done(), 5U) << "that of step 4 did not wait";
  EXPECT_THAT(world.checkpoints, testing::IsEmpty());
  for (const std::uint64_t done : {5, 6, 6, 6}) {  // of the steps 2, 4, 5, 6
    world.publish_pending();
    world.run();
    EXPECT_EQ(world.done(), done);
  }
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.result_parameters, world.expected_parameters(5));
  EXPECT_EQ(world.checkpoints, (std::set<std::uint64_t>{2, 4, 5, 6}));
}

// Its parameters are the result, and nobody has them any more.
TEST(CoordinatorRecovery, ALossBeforeTheBestStepIsOnTheDiskIsARollback) {
  for (const bool counts : {false, true}) {
    CoordinatorOptions options = options_for(3, true);
    options.policy.patience = counts ? 9 : 0;
    SimulatedWorld world(options, workload_of(kSteps, 8));
    world.validation_loss = [](std::uint64_t step) { return step == 3 ? 1.0 : 10.0; };
    for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
    bool killed = false;
    world.run([&](SimulatedWorld& w) {
      w.slow_disks = w.done() == 3 && !killed ? std::set<Rank>{1} : std::set<Rank>{};
      if (w.done() == 5 && !std::exchange(killed, true)) w.kill(1);
    });
    ASSERT_TRUE(world.finished.has_value());
    EXPECT_EQ(world.result_parameters, world.expected_parameters(counts ? 3 : kSteps));
    EXPECT_EQ(world.rollbacks.size(), counts ? 1U : 0U);
  }
}

TEST(CoordinatorRecovery, WhatWasDamagedSinceItWasPublishedIsNotGoneBackTo) {
  for (const std::set<std::uint64_t>& damaged : {std::set<std::uint64_t>{4}, {2, 3, 4}}) {
    SimulatedWorld world = world_of(4, true, 3);
    bool killed = false;
    world.run([&](SimulatedWorld& w) {
      if (w.done() < 5 || w.checkpoints.count(4) == 0 || std::exchange(killed, true)) return;
      w.damaged = damaged;
      for (const Rank rank : {0, 1, 3}) w.kill(rank);
    });
    expect_success(world);
    ASSERT_EQ(world.rollbacks.size(), 1U);
    EXPECT_EQ(world.rollbacks[0].step, damaged.size() == 1 ? 3U : 0U);
    EXPECT_EQ(world.rollbacks[0].from_start, damaged.size() > 1);
    EXPECT_THAT(world.checkpoints, Contains(4U)) << "it was taken again";
    EXPECT_THAT(world.damaged, testing::IsEmpty());
  }
}

// The loss of another took the word away in which a survivor was asked for its shard: it was gathering and never came
// to it.
TEST(CoordinatorRecovery, ACheckpointThatASurvivorNeverBeganIsTakenAgain) {
  CoordinatorOptions options = options_for(3, true);
  options.policy = {.save_every = 2};
  SimulatedWorld world(options, workload_of(kSteps, 8, 1));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() != 2 || std::exchange(killed, true)) return;
    // Of the only chunk.
    const std::uint32_t owner = place(w.coordinator().view(), 1, 2).owner_of(0);
    std::erase_if(w.rank(owner)->outbox,
                  [](const MemberMessage& message) { return std::holds_alternative<ShardWritten>(message); });
    w.kill(owner == 2 ? 1 : 2);
  });
  expect_success(world);
  EXPECT_TRUE(killed);
  EXPECT_EQ(world.checkpoints, (std::set<std::uint64_t>{2, 4, 6}));
}

}  // namespace
}  // namespace cadre::runtime
