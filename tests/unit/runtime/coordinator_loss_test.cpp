// Ranks that are lost, fall silent, hang and come back, at every point of a run: it ends with the parameters of an
// undisturbed one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/complaints.h"
#include "runtime/placement.h"
#include "tests/unit/runtime/simulated_world.h"

namespace cadre::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kSteps = 6;

CoordinatorOptions options_for(std::size_t ranks, bool keep_state) {
  return {.run_id = "a run",
          .expected_ranks = ranks,
          .policy = {.eval_every = 3, .save_every = 2, .max_grad_norm = 1},
          .keep_state = keep_state,
          .checkpoints = "/run/checkpoints"};
}

SimulatedWorld world_of(std::size_t ranks, bool keep_state, std::uint64_t seed) {
  SimulatedWorld world(options_for(ranks, keep_state), workload_of(kSteps, 8), seed);
  for (Rank rank = 0; rank < ranks; ++rank) world.start_rank(rank);
  return world;
}

void expect_success(const SimulatedWorld& world) {
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kSucceeded) << world.finished->reason;
  EXPECT_EQ(world.result_parameters, world.expected_parameters(kSteps));
}

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
    if (world.finished && world.finished->outcome == RunOutcome::kFailed) {
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
      if (world.done() == kSteps) {
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

TEST(CoordinatorRecovery, WithTooFewRanksTheRunFails) {
  CoordinatorOptions options = options_for(3, false);
  options.min_ranks = 2;
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 2 && w.rank(0) != nullptr) w.kill(0);
    if (w.done() == 3 && w.rank(1) != nullptr && !w.finished) w.kill(1);
  });
  ASSERT_TRUE(world.finished.has_value());
  EXPECT_EQ(world.finished->outcome, RunOutcome::kFailed);
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

TEST(CoordinatorRecovery, ARankThatComesBackIsAdmittedWithoutLosingAStep) {
  SimulatedWorld world = world_of(3, true, 1);
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 2 && !std::exchange(killed, true)) {
      w.kill(1);
      w.start_rank(1);
    }
  });
  expect_success(world);
  EXPECT_EQ(world.alive(), 3U);
  EXPECT_EQ(world.commits.size(), kSteps);
  EXPECT_EQ(world.commits.back().ranks, 3U);
  EXPECT_EQ(world.coordinator().view().members[1].incarnation, 2U);
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

TEST(CoordinatorRecovery, WithoutACheckpointNobodyJoins) {
  SimulatedWorld world = world_of(3, true, 1);
  world.publishing = [](std::uint64_t) { return "the disk is full"; };
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 2 && !std::exchange(killed, true)) {
      w.kill(1);
      w.start_rank(1);
    }
  });
  expect_success(world);
  EXPECT_EQ(world.commits.back().ranks, 2U);
}

// A relay is no rank: with it nobody is lost, whatever was on its way, and no step is done again.
TEST(CoordinatorRelays, ARelayMayDieAtAnyPoint) {
  const std::set<Rank> behind = {0, 2, 3};
  for (std::size_t at = 0;; ++at) {
    SCOPED_TRACE(testing::Message() << "the relay dies after " << at << " messages");
    SimulatedWorld world = world_of(4, true, at);
    std::size_t delivered = 0;
    bool died = false;
    world.run([&](SimulatedWorld& w) {
      if (delivered++ != at || w.finished) return;
      died = true;
      w.lose_relay(behind);
    });
    if (!died) {
      EXPECT_GT(at, 100U);
      break;
    }
    expect_success(world);
    for (const std::string& event : world.events) EXPECT_FALSE(event.starts_with("lost")) << event;
    EXPECT_THAT(world.warnings, testing::Not(Contains(HasSubstr("is lost"))));
    ASSERT_EQ(world.alive(), 4U);
    for (Rank rank = 0; rank < 4; ++rank) EXPECT_EQ(world.rank(rank)->incarnation, 1U) << rank;
  }
}

// Together with a rank, and again before all are back.
TEST(CoordinatorRelays, RelaysAndRanksMayDieOneAfterTheOther) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SimulatedWorld world = world_of(5, true, seed);
    std::mt19937_64 random(seed);
    std::size_t faults = 0;
    bool killed = false;
    world.run([&](SimulatedWorld& w) {
      if (w.coordinator().view().size() == 0 || w.finished || faults >= 5 || random() % 20 != 0) return;
      ++faults;
      if (!killed && random() % 3 == 0) {
        killed = true;
        w.kill(1);
      } else {
        w.lose_relay({0, 2, 3});
      }
    });
    expect_success(world);
    EXPECT_EQ(world.alive(), killed ? 4U : 5U);
  }
}

TEST(CoordinatorRelays, WhoDoesNotComeBackIsLost) {
  SimulatedWorld world = world_of(4, true, 3);
  bool died = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() != 3 || std::exchange(died, true)) return;
    w.lose_relay({1, 2});
    w.silent = {2};
  });
  EXPECT_FALSE(world.finished.has_value());
  world.pass(std::chrono::milliseconds(4000));
  world.run();
  expect_success(world);
  EXPECT_THAT(world.warnings, Contains("rank 2 is lost: silent for 3 s"));
  EXPECT_EQ(world.rank(1)->incarnation, 1U);
}

}  // namespace
}  // namespace cadre::runtime
