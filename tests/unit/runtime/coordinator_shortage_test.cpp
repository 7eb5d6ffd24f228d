// Too few ranks are left, and lost ones come back, or do not: the run goes on to an undisturbed one's parameters, or
// ends so that it can be resumed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <utility>

#include "tests/unit/runtime/lossy_runs.h"

namespace cadre::runtime {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr Rank kRanks = 3;

SimulatedWorld world_of(std::size_t min_ranks, std::uint64_t seed) {
  CoordinatorOptions options = options_for(kRanks, true);
  options.min_ranks = min_ranks;
  options.rejoin_wait = seconds(60);
  SimulatedWorld world(std::move(options), workload_of(kSteps, 8), seed);
  for (Rank rank = 0; rank < kRanks; ++rank) world.start_rank(rank);
  return world;
}

void start_missing(SimulatedWorld& world) {
  for (Rank rank = 0; rank < kRanks; ++rank) {
    if (world.rank(rank) == nullptr) world.start_rank(rank);
  }
}

TEST(CoordinatorShortage, AllMayBeLostAgainAndAgainAndComeBack) {
  std::size_t rollbacks = 0;
  for (const std::size_t min_ranks : {std::size_t{1}, std::size_t{2}, std::size_t{kRanks}}) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      SCOPED_TRACE(testing::Message() << "min_ranks " << min_ranks << ", seed " << seed);
      SimulatedWorld world = world_of(min_ranks, seed);
      std::mt19937_64 chance(seed);
      int losses = 8;
      const auto disturb = [&](SimulatedWorld& w) {
        if (w.coordinator().view().size() == 0) return;
        for (Rank rank = 0; rank < kRanks; ++rank) {
          if (losses > 0 && chance() % 25 == 0 && w.rank(rank) != nullptr) {
            --losses;
            w.kill(rank);
          }
        }
        if (chance() % 8 == 0) start_missing(w);
      };
      for (int turn = 0; turn < 50 && !world.finished; ++turn) {
        world.run(disturb);
        if (!world.finished) start_missing(world);
      }
      expect_success(world);
      rollbacks += world.rollbacks.size();
    }
  }
  EXPECT_GT(rollbacks, 100U);
}

// Who is left holds all state: when the others are there again it goes on from that.
TEST(CoordinatorShortage, WhoIsLeftWithAllStateKeepsIt) {
  SimulatedWorld world = world_of(3, 1);
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 3 && !std::exchange(killed, true)) w.kill(1);
  });
  EXPECT_FALSE(world.finished.has_value());
  start_missing(world);
  world.run();
  expect_success(world);
  EXPECT_TRUE(world.rollbacks.empty());
  EXPECT_EQ(world.loads, 1U);
  EXPECT_EQ(world.commits.size(), kSteps);
}

TEST(CoordinatorShortage, WhereNobodyComesBackTheRunEndsAtItsNewestCheckpoint) {
  SimulatedWorld world = world_of(1, 1);
  world.run([](SimulatedWorld& w) {
    if (w.done() != 5) return;
    for (Rank rank = 0; rank < kRanks; ++rank) {
      if (w.rank(rank) != nullptr) w.kill(rank);
    }
  });
  EXPECT_FALSE(world.finished.has_value());
  world.pass(seconds(59));
  EXPECT_FALSE(world.finished.has_value());
  world.pass(seconds(2));
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kStopped);
  EXPECT_EQ(world.finished->step, 4U);
  EXPECT_THAT(world.finished->reason, HasSubstr("0 of 3 ranks were left, 1 are needed"));
}

}  // namespace
}  // namespace cadre::runtime
