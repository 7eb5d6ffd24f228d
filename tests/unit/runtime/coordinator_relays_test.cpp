// A relay dies, with ranks or without: those that it spoke for are not lost with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/runtime/lossy_runs.h"

namespace cadre::runtime {
namespace {

using testing::Contains;
using testing::HasSubstr;

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

// With a commit and with the view that follows at once, since a rank comes in.
TEST(CoordinatorRelays, ARelayMayDieWhileARankComesIn) {
  std::size_t missed = 0;
  for (std::size_t at = 0; at < 40; ++at) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      SCOPED_TRACE(testing::Message() << "the relay dies after " << at << " messages, seed " << seed);
      SimulatedWorld world = world_of(4, true, seed);
      std::size_t delivered = 0;
      bool lost = false, back = false, died = false;
      world.run([&](SimulatedWorld& w) {
        if (w.done() == 2 && !std::exchange(lost, true)) w.kill(1);
        if (w.done() == 3 && !std::exchange(back, true)) w.start_rank(1);
        if (back && !died && !w.finished && delivered++ == at) {
          died = true;
          w.lose_relay({0, 2});
        }
        const SimulatedRank* behind = w.rank(0);
        missed += died && behind != nullptr && behind->stamp != w.coordinator().view().stamp && behind->done < w.done();
      });
      expect_success(world);
      EXPECT_EQ(world.commits.size(), kSteps);
      EXPECT_TRUE(world.rollbacks.empty());
      EXPECT_EQ(world.loads, 1U);
    }
  }
  EXPECT_GT(missed, 0U) << "both";
}

// A rank says what it has before it has loaded: that is no commit that it has missed.
TEST(CoordinatorRelays, WhoConnectsAnewWhileItLoadsHearsOfNoCommit) {
  CoordinatorOptions options = options_for(3, true);
  options.policy.save_every = 1;
  SimulatedWorld world(std::move(options), workload_of(kSteps, 8), 3);
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  bool loads = false;
  world.run([&](SimulatedWorld& w) {
    if (w.restarts == 0 && w.done() == 1 && w.checkpoints.contains(1)) w.restart_coordinator();
    SimulatedRank* rank = w.rank(1);
    const bool has_view = w.restarts == 1 && rank->stamp.term == 2 && rank->stamp == w.coordinator().view().stamp;
    if (!has_view || std::exchange(loads, true)) return;
    ASSERT_EQ(w.done(), 1U);
    rank->done = 0;
    rank->parameters = kSeededParameters;
    rank->outbox.clear();
    w.reconnect(1, false);
  });
  EXPECT_TRUE(loads);
  expect_success(world);
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
