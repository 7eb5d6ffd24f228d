// Ranks that are lost, fall silent, hang and come back, at every point of a run: it ends with the parameters of an
// undisturbed one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/complaints.h"
#include "runtime/placement.h"
#include "tests/unit/runtime/lossy_runs.h"

namespace cadre::runtime {
namespace {

using testing::Contains;
using testing::HasSubstr;

struct Case {
  bool keep_state;
  std::size_t ranks;
};

class CoordinatorLoss : public testing::TestWithParam<Case> {};

// One delivery after the other, each of the ranks: no phase is left out.
TEST_P(CoordinatorLoss, ARankMayDieAtAnyPoint) {
  const auto [keep_state, ranks] = GetParam();
  std::size_t rolled_back = 0, kept = 0;
  for (Rank victim = 0; victim < ranks; ++victim) {
    for (std::size_t at = 0;; ++at) {
      SCOPED_TRACE(testing::Message() << "rank " << victim << " dies after " << at << " messages");
      SimulatedWorld world = world_of(ranks, keep_state, at);
      std::size_t delivered = 0;
      bool gathered = false;
      world.run([&](SimulatedWorld& w) {
        gathered = gathered || w.coordinator().view().size() > 0;
        if (delivered++ == at && gathered) w.kill(victim);
      });
      if (!gathered || delivered <= at) {
        ASSERT_GT(at, 0U);
        if (delivered <= at) break;
      }
      expect_success(world);
      rolled_back += world.rollbacks.size();
      kept += world.commits.size() == kSteps && world.rollbacks.empty() && world.alive() < ranks;
    }
  }
  EXPECT_GT(keep_state ? kept : rolled_back, 10U);
}

TEST_P(CoordinatorLoss, RanksMayDieAndComeBackAllTheTime) {
  const auto [keep_state, ranks] = GetParam();
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SimulatedWorld world = world_of(ranks, keep_state, seed);
    std::mt19937_64 random(seed);
    std::size_t kills = 0;
    std::vector<Rank> gone;
    world.run([&](SimulatedWorld& w) {
      if (w.coordinator().view().size() == 0 || w.finished) return;
      if (kills < 8 && random() % 25 == 0 && w.alive() > 1) {
        const Rank victim = static_cast<Rank>(random() % ranks);
        const SimulatedRank* rank = w.rank(victim);
        if (rank != nullptr && rank->refused.empty() && rank->incarnation > 0) {
          w.kill(victim);
          gone.push_back(victim);
          ++kills;
        }
      }
      if (!gone.empty() && random() % 20 == 0) {
        w.start_rank(gone.back());
        gone.pop_back();
      }
    });
    if (world.finished && world.finished->outcome == RunOutcome::kStopped) {
      // Only where all members of a view went while others were about to join.
      EXPECT_THAT(world.finished->reason, HasSubstr("are needed"));
      continue;
    }
    expect_success(world);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CoordinatorLoss,
                         testing::Values(Case{false, 2}, Case{false, 3}, Case{false, 5}, Case{true, 2}, Case{true, 3},
                                         Case{true, 5}, Case{true, 8}));

TEST(CoordinatorRecovery, OnlyWhatWasLostIsComputedAgain) {
  SimulatedWorld world = world_of(4, true, 3);
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 4 && !std::exchange(killed, true)) w.kill(2);
  });
  expect_success(world);
  EXPECT_TRUE(world.rollbacks.empty());
  EXPECT_EQ(world.commits.size(), kSteps);
  // Two of the eight micro-batches of one step.
  EXPECT_EQ(world.computed, kSteps * 8 + 2);
  const std::vector<LedgerEntry>& ledger = world.commits[4].micro_batches;
  for (const LedgerEntry& entry : ledger) {
    EXPECT_NE(entry.rank, 2U);
    EXPECT_EQ(entry.view, entry.micro_batch / 2 == 2 ? 2U : 1U) << entry.micro_batch;
  }
}

// Each view's first commit proves that its holders have their chunks: one rank after the other may go.
TEST(CoordinatorRecovery, CopiesAreMadeAgainAfterALoss) {
  SimulatedWorld world = world_of(4, true, 3);
  world.run([&](SimulatedWorld& w) {
    if (w.finished || w.done() % 2 == 0) return;
    const Rank victim = static_cast<Rank>(w.done() / 2);
    if (w.alive() == 4U - victim && victim < 3) w.kill(victim);
  });
  expect_success(world);
  EXPECT_EQ(world.alive(), 1U);
  EXPECT_TRUE(world.rollbacks.empty());
}

// Before that commit only the holders of before count.
TEST(CoordinatorRecovery, ASecondLossBeforeTheCopiesAreMadeIsARollbackWhereItTookTheLastHolder) {
  std::size_t rolled_back = 0;
  for (Rank first = 0; first < 4; ++first) {
    for (Rank second = 0; second < 4; ++second) {
      if (first == second) continue;
      SimulatedWorld world = world_of(4, true, 3);
      bool orphan = false;
      std::uint64_t left = 0;
      world.run([&](SimulatedWorld& w) {
        const View& view = w.coordinator().view();
        if (w.done() == 4 && left == 0) {
          for (const auto& holders : place(view, 5, 2).holders) {
            orphan = orphan || std::set<Rank>(holders.begin(), holders.end()) == std::set<Rank>{first, second};
          }
          left = view.stamp.view;
          w.kill(first);
        } else if (left != 0 && view.stamp.view == left + 1 && w.alive() == 3) {
          w.kill(second);
        }
      });
      expect_success(world);
      EXPECT_EQ(world.alive(), 2U);
      EXPECT_EQ(world.rollbacks.size(), orphan ? 1U : 0U) << first << " and " << second;
      rolled_back += world.rollbacks.size();
    }
  }
  EXPECT_GT(rolled_back, 0U);
}

TEST(CoordinatorRecovery, AllHoldersOfAChunkLostTogetherIsARollback) {
  SimulatedWorld world = world_of(4, true, 3);
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() < 3 || std::exchange(killed, true)) return;
    for (const Rank rank : {0, 1, 3}) w.kill(rank);
  });
  expect_success(world);
  ASSERT_EQ(world.rollbacks.size(), 1U);
  EXPECT_EQ(world.rollbacks[0].generation, 1U);
}

// Both reach the coordinator. A new view may bring their connection back; if not, one goes.
TEST(CoordinatorRecovery, OfTwoThatDoNotReachEachOtherOneGoes) {
  for (const bool back : {true, false}) {
    SimulatedWorld world = world_of(4, true, 1);
    const auto complain = [&] {
      world.gathering = {1, 2, 3};
      world.run();
      ASSERT_FALSE(world.finished);
      const Stamp stamp = world.coordinator().view().stamp;
      for (const auto& [accuser, accused] : {std::pair{1, 3}, {2, 3}, {3, 1}}) {
        world.send(static_cast<Rank>(accuser), PeerLost{stamp, static_cast<Rank>(accused)});
      }
      world.gathering.clear();
      world.pass(std::chrono::milliseconds(500));
      EXPECT_EQ(world.coordinator().view().stamp, stamp) << "the others may complain of another one";
      world.pass(Complaints::kGrace);
    };
    complain();
    EXPECT_EQ(world.alive(), 4U);
    if (!back) {
      const Stamp stamp = world.coordinator().view().stamp;
      world.run([&](SimulatedWorld& w) {
        w.silent = w.coordinator().view().stamp > stamp ? std::set<Rank>{0} : std::set<Rank>{};
      });
      world.silent.clear();
      for (const auto& [accuser, accused] : {std::pair{1, 3}, {2, 3}, {3, 1}}) {
        world.send(static_cast<Rank>(accuser), PeerLost{world.coordinator().view().stamp, static_cast<Rank>(accused)});
      }
      world.pass(std::chrono::milliseconds(500) + Complaints::kGrace);
      EXPECT_EQ(world.rank(3), nullptr);
    }
    world.run();
    expect_success(world);
    EXPECT_EQ(world.alive(), back ? 4U : 3U);
    EXPECT_TRUE(world.rollbacks.empty());
  }
}

// Before the first vote after a load, what a survivor has may be of before.
TEST(CoordinatorRecovery, ALossBeforeAllHaveLoadedIsARollback) {
  for (const bool loaded : {false, true}) {
    SimulatedWorld world = world_of(3, true, 1);
    bool killed = false;
    world.run([&](SimulatedWorld& w) {
      const bool now = loaded ? !w.evaluations.empty() : w.coordinator().view().size() > 0;
      if (now && !std::exchange(killed, true)) w.kill(1);
    });
    expect_success(world);
    EXPECT_EQ(world.rollbacks.size(), loaded ? 0U : 1U);
  }
}

TEST(CoordinatorRecovery, WithTooFewRanksTheRunEnds) {
  CoordinatorOptions options = options_for(3, false);
  options.min_ranks = 2;
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 2 && w.rank(0) != nullptr) w.kill(0);
    if (w.done() == 3 && w.rank(1) != nullptr && !w.finished) w.kill(1);
  });
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kStopped);
  EXPECT_EQ(world.finished->step, 2U);  // where the newest checkpoint is
  EXPECT_THAT(world.finished->reason, HasSubstr("1 of 3 ranks are left and 2 are needed; the last to go was rank 1"));
}

TEST(CoordinatorRecovery, SilenceIsALoss) {
  SimulatedWorld world = world_of(3, false, 1);
  world.run([](SimulatedWorld& w) {
    if (w.done() == 2) w.silent = {1};
  });
  EXPECT_FALSE(world.finished.has_value());
  world.pass(std::chrono::milliseconds(3000));
  EXPECT_NE(world.rank(1), nullptr);
  world.pass(std::chrono::milliseconds(1000));
  EXPECT_EQ(world.rank(1), nullptr);
  world.run();
  expect_success(world);
  EXPECT_THAT(world.warnings, Contains("rank 1 is lost: silent for 3 s"));
}

// The coordinator's own process was stopped for a minute: nobody is blamed.
TEST(CoordinatorRecovery, ALateTickBlamesNobody) {
  Coordinator coordinator(options_for(1, false), {});
  coordinator.on_message(1, Join{{.rank = 0}}, {});
  coordinator.on_message(1, Ready{workload_of(kSteps, 8), {}}, {});
  EXPECT_TRUE(coordinator.on_tick(TimePoint(std::chrono::seconds(60))).empty());
  EXPECT_TRUE(coordinator.on_tick(TimePoint(std::chrono::seconds(61))).empty());
  coordinator.on_tick(TimePoint(std::chrono::seconds(62)));
  coordinator.on_tick(TimePoint(std::chrono::seconds(63)));
  coordinator.on_tick(TimePoint(std::chrono::milliseconds(63'500)));
  EXPECT_TRUE(coordinator.finished());
}

// Heartbeats go on, work does not.
TEST(CoordinatorRecovery, AHungRankIsFoundByTheProgressLimit) {
  CoordinatorOptions options = options_for(3, false);
  options.progress_limit = std::chrono::seconds(20);
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  world.run([](SimulatedWorld& w) {
    if (SimulatedRank* hung = w.rank(2); hung != nullptr && w.done() == 3) hung->outbox.clear();
  });
  EXPECT_FALSE(world.finished.has_value());
  world.pass(std::chrono::seconds(21));
  EXPECT_THAT(world.warnings, Contains("rank 2 is lost: alive, but without progress for 20 s"));
  world.run();
  expect_success(world);
}

TEST(CoordinatorRecovery, WhoDoesNotAnswerTheFenceIsLost) {
  SimulatedWorld world = world_of(3, false, 1);
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 3 && !std::exchange(killed, true)) {
      w.kill(0);
      w.rank(2)->outbox.clear();
    }
  });
  EXPECT_FALSE(world.finished.has_value());
  world.pass(std::chrono::seconds(61));
  world.run();
  expect_success(world);
  EXPECT_THAT(world.warnings, Contains("rank 2 is lost: did not answer the fence within 60 s"));
}

}  // namespace
}  // namespace cadre::runtime
