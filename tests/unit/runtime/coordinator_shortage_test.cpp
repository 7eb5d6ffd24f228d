// Too few ranks are left, and lost ones come back, or do not: the run goes on to an undisturbed one's parameters, or
// ends so that it can be resumed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
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

void kill_after(SimulatedWorld& world, std::uint64_t step, const std::set<Rank>& victims) {
  world.run([&](SimulatedWorld& w) {
    if (w.done() != step) return;
    for (const Rank rank : victims) {
      if (w.rank(rank) != nullptr) w.kill(rank);
    }
  });
}

void expect_end(SimulatedWorld& world, const char* reason) {
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kStopped);
  EXPECT_EQ(world.finished->step, 4U);
  EXPECT_THAT(world.finished->reason, HasSubstr(reason));
}

// Nobody new is let in then.
TEST(CoordinatorShortage, WhereARunThatIsToStopLosesAllItEndsAtOnce) {
  SimulatedWorld world = world_of(1, 5);
  world.run([](SimulatedWorld& w) {
    if (w.done() < 3 || w.finished) return;
    w.stop();
    for (Rank rank = 0; rank < kRanks; ++rank) {
      if (!w.finished && w.rank(rank) != nullptr) w.kill(rank);
    }
  });
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kStopped);
  EXPECT_EQ(world.finished->step, *world.checkpoints.rbegin());
}

TEST(CoordinatorShortage, WhereNobodyIsWaitedForTheRunEndsAtOnceAtItsNewestCheckpoint) {
  CoordinatorOptions options = options_for(kRanks, true);
  options.min_ranks = 2;
  SimulatedWorld world(std::move(options), workload_of(kSteps, 8));
  for (Rank rank = 0; rank < kRanks; ++rank) world.start_rank(rank);
  kill_after(world, 5, {0, 2});
  expect_end(world, "1 of 3 ranks are left and 2 are needed; the last to go was rank 2: ");
}

TEST(CoordinatorShortage, WhereNobodyIsStartedAgainTheRunEndsAtOnce) {
  SimulatedWorld world = world_of(2, 1);
  kill_after(world, 5, {0, 2});
  world.leave_out(2);
  EXPECT_THAT(world.events, testing::Contains(HasSubstr("left_out")));
  EXPECT_FALSE(world.finished.has_value());
  world.leave_out(2);  // said again
  EXPECT_FALSE(world.finished.has_value());
  world.leave_out(0);
  expect_end(world, "1 of 3 ranks are left, 2 are needed and ranks 0 and 2 were lost too often to be started again");
  EXPECT_EQ(std::count_if(world.events.begin(), world.events.end(),
                          [](const std::string& event) { return event.starts_with("left_out"); }),
            2);
}

TEST(CoordinatorShortage, WhoWasLeftOutMayComeBackAllTheSame) {
  SimulatedWorld world = world_of(2, 1);
  kill_after(world, 5, {0, 2});
  world.leave_out(2);
  world.start_rank(2);
  world.run();
  expect_success(world);
}

TEST(CoordinatorShortage, ARunBeginsWithoutRanksThatCannotBeStarted) {
  CoordinatorOptions options = options_for(kRanks, true);
  options.min_ranks = 2;
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (const Rank rank : {0U, 2U}) world.start_rank(rank);
  world.run();
  EXPECT_EQ(world.coordinator().view().size(), 0U);
  world.leave_out(1);
  world.run();
  expect_success(world);

  SimulatedWorld other(options, workload_of(kSteps, 8));
  for (const Rank rank : {1U, 2U}) other.leave_out(rank);
  ASSERT_TRUE(other.finished.has_value());
  EXPECT_EQ(other.finished->outcome, RunOutcome::kFailed);  // it would again
  EXPECT_EQ(other.finished->reason, "rank 2 is left out");
}

TEST(CoordinatorShortage, ManyMayBeLostWithTheCoordinatorAndComeBack) {
  for (const std::size_t min_ranks : {std::size_t{1}, std::size_t{2}, std::size_t{kRanks}}) {
    for (const bool is_short_before : {false, true}) {
      SCOPED_TRACE(testing::Message() << "min_ranks " << min_ranks << ", short before " << is_short_before);
      SimulatedWorld world = world_of(min_ranks, 1);
      while (world.done() < 5) ASSERT_TRUE(world.deliver_one());
      const std::set<Rank> victims = min_ranks == 1 ? std::set<Rank>{0, 1, 2} : std::set<Rank>{0, 2};
      for (const Rank rank : victims) {
        if (is_short_before) world.kill(rank);
      }
      if (is_short_before) world.run();
      world.restart_coordinator();
      for (const Rank rank : victims) {
        if (!is_short_before) world.kill(rank);
      }
      world.run();
      for (int second = 0; second < 5; ++second) world.pass(seconds(1)), world.run();
      EXPECT_FALSE(world.finished.has_value()) << world.finished->reason;
      start_missing(world);
      world.run();
      expect_success(world);
    }
  }
}

TEST(CoordinatorShortage, WhoDoesNotComeBackToANewCoordinatorIsWaitedForAsLong) {
  SimulatedWorld world = world_of(2, 1);
  while (world.done() < 5) ASSERT_TRUE(world.deliver_one());
  world.restart_coordinator();
  for (const Rank rank : {0U, 2U}) world.kill(rank);
  world.run();
  for (int second = 0; second < 62; ++second) world.pass(seconds(1)), world.run();
  EXPECT_FALSE(world.finished.has_value());
  for (int second = 0; second < 3; ++second) world.pass(seconds(1)), world.run();
  expect_end(world, "ranks were left, 2 are needed and no other came back within 60 s");
}

// Those that are there are enough; it comes in later.
TEST(CoordinatorShortage, WhoLoadsHoldsNobodyUp) {
  SimulatedWorld world = world_of(2, 1);
  kill_after(world, 5, {0, 2});
  world.start_rank(0);
  while (world.rank(0)->incarnation == 0) ASSERT_TRUE(world.deliver_one());
  world.rank(0)->outbox.clear();  // it does not come to Ready
  world.start_rank(2);
  world.run();
  expect_success(world);
}

}  // namespace
}  // namespace cadre::runtime
