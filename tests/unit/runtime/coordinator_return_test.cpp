// Ranks that come in while others train: nobody loads, no step is done again, and whoever is lost on the way takes
// nothing along that others had.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "tests/unit/runtime/lossy_runs.h"

namespace cadre::runtime {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Not;

// Loses rank 1 after two steps and starts it again when those that are left have its share.
struct Return {
  void operator()(SimulatedWorld& world) {
    if (world.done() == 2 && !std::exchange(is_lost, true)) world.kill(1);
    if (world.done() == 3 && !std::exchange(is_back, true)) world.start_rank(1);
  }
  bool is_lost = false, is_back = false;
};

bool has_returned(SimulatedWorld& world) {
  const View& view = world.coordinator().view();
  const auto index = view.index_of(1);
  return index && view.members[*index].incarnation == 2;
}

TEST(CoordinatorReturn, ARankThatComesBackIsAdmittedWithoutALoad) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedWorld world = world_of(3, true, seed);
    world.run(Return{});
    expect_success(world);
    EXPECT_TRUE(has_returned(world));
    EXPECT_EQ(world.alive(), 3U);
    EXPECT_EQ(world.commits.size(), kSteps);
    EXPECT_EQ(world.commits.back().ranks, 3U);
    EXPECT_TRUE(world.rollbacks.empty());
    EXPECT_EQ(world.loads, 1U) << "at the start";
    // No checkpoint but those that the policy wants.
    EXPECT_EQ(world.checkpoints, (std::set<std::uint64_t>{2, 4, 6}));
  }
}

TEST(CoordinatorReturn, NoCheckpointIsNeeded) {
  SimulatedWorld world = world_of(3, true, 1);
  world.publishing = [](std::uint64_t) { return "the disk is full"; };
  world.run(Return{});
  expect_success(world);
  EXPECT_TRUE(world.checkpoints.empty());
  EXPECT_EQ(world.commits.back().ranks, 3U);
  EXPECT_EQ(world.loads, 1U);
}

// Before the first step there is nothing but what all have loaded.
TEST(CoordinatorReturn, ARankMayComeInBeforeTheFirstStep) {
  SimulatedWorld world = world_of(3, true, 1);
  bool killed = false;
  world.run([&](SimulatedWorld& w) {
    if (w.evaluations.empty() || std::exchange(killed, true)) return;
    w.kill(1);
    w.start_rank(1);
  });
  expect_success(world);
  EXPECT_TRUE(has_returned(world));
  EXPECT_EQ(world.commits.size(), kSteps);
  EXPECT_EQ(world.loads, 1U);
}

// Also with a copy of each chunk and no more: it is moved, not lost.
TEST(CoordinatorReturn, OneCopyOfAChunkIsEnough) {
  CoordinatorOptions options = options_for(3, true);
  options.policy.state_copies = 1;
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  world.run(Return{});
  expect_success(world);
  EXPECT_TRUE(has_returned(world));
  // The loss took chunks along.
  EXPECT_EQ(world.rollbacks.size(), 1U);
  EXPECT_LE(world.loads, 2U);
}

// Of `victim`, `at` deliveries after the other one has come in.
SimulatedWorld with_loss_after_return(Rank victim, std::size_t at, bool& happened) {
  SimulatedWorld world = world_of(3, true, at);
  std::size_t delivered = 0;
  happened = false;
  world.run([&, returns = Return{}](SimulatedWorld& w) mutable {
    returns(w);
    if (!w.finished && has_returned(w) && delivered++ == at) {
      happened = true;
      w.kill(victim);
    }
  });
  return world;
}

TEST(CoordinatorReturn, WhoeverIsLostWhileARankComesInNothingIsDoneAgain) {
  std::size_t losses = 0;
  for (Rank victim = 0; victim < 3; ++victim) {
    for (std::size_t at = 0; at < 60; ++at) {
      SCOPED_TRACE(testing::Message() << "rank " << victim << ", " << at << " messages after the return");
      bool happened = false;
      const SimulatedWorld world = with_loss_after_return(victim, at, happened);
      expect_success(world);
      if (!happened) break;
      ++losses;
      EXPECT_EQ(world.commits.size(), kSteps);
      EXPECT_TRUE(world.rollbacks.empty());
      EXPECT_EQ(world.loads, 1U);
    }
  }
  EXPECT_GT(losses, 60U);
}

// Two that were there when it came in hold all state until its view has committed: it is not asked to be the source.
TEST(CoordinatorReturn, BothThatHeldTheStateLostIsARollback) {
  SimulatedWorld world = world_of(3, true, 1);
  bool killed = false;
  world.run([&, returns = Return{}](SimulatedWorld& w) mutable {
    returns(w);
    if (w.finished || !has_returned(w) || std::exchange(killed, true)) return;
    w.kill(0);
    w.kill(2);
  });
  expect_success(world);
  EXPECT_EQ(world.rollbacks.size(), 1U);
}

// It need not wait for the step's end where a new view begins anyway.
TEST(CoordinatorReturn, WhoIsReadyComesInWithTheViewThatFollowsALoss) {
  SimulatedWorld world = world_of(4, true, 1);
  bool killed = false;
  world.run([&, returns = Return{}](SimulatedWorld& w) mutable {
    returns(w);
    if (killed || !returns.is_back) return;
    w.silent = {0};  // so that no step ends
    const SimulatedRank& back = *w.rank(1);
    if (!back.ready || !back.outbox.empty()) return;
    killed = true;
    w.silent.clear();
    w.kill(3);
  });
  expect_success(world);
  EXPECT_TRUE(has_returned(world));
  EXPECT_TRUE(world.rollbacks.empty());
  EXPECT_EQ(world.loads, 1U);
  EXPECT_EQ(world.commits.back().ranks, 3U);
}

TEST(CoordinatorReturn, NobodyComesInAtTheEnd) {
  SimulatedWorld world = world_of(3, true, 1);
  bool killed = false;
  world.publishes_at_once = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() != kSteps || std::exchange(killed, true)) return;
    w.kill(1);
    w.start_rank(1);
  });
  while (!world.finished) {
    world.publish_pending();
    world.run();
  }
  expect_success(world);
  EXPECT_FALSE(has_returned(world));
}

// An older process under the same number: what it held does not count.
TEST(CoordinatorReturn, AProcessThatWasGivenUpComesBackWithNothing) {
  SimulatedWorld world = world_of(3, true, 1);
  while (world.done() < 2) EXPECT_TRUE(world.deliver_one());
  world.reconnect(1, true);
  world.run();
  expect_success(world);
  EXPECT_TRUE(has_returned(world));
  EXPECT_TRUE(world.rollbacks.empty());
  EXPECT_EQ(world.loads, 1U);
  EXPECT_THAT(world.warnings, Each(Not(HasSubstr("done again"))));
}

}  // namespace
}  // namespace cadre::runtime
