// Ranks that are asked to leave and to come, at every point of a run: it ends with the parameters of an undisturbed
// one, and where nothing is lost no micro-batch is computed twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/lossy_runs.h"

namespace cadre::runtime {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Case {
  bool keep_state;
  std::uint32_t copies;
};

class CoordinatorDrains : public testing::TestWithParam<Case> {
 protected:
  SimulatedWorld world(std::size_t ranks, std::uint64_t seed) const {
    CoordinatorOptions options = options_for(ranks, GetParam().keep_state);
    options.policy.state_copies = GetParam().copies;
    SimulatedWorld made(options, workload_of(kSteps, 8), seed);
    for (Rank rank = 0; rank < ranks; ++rank) made.start_rank(rank);
    return made;
  }
};

void expect_nothing_lost(const SimulatedWorld& world) {
  expect_success(world);
  EXPECT_TRUE(world.rollbacks.empty());
  EXPECT_EQ(world.commits.size(), kSteps);
  EXPECT_EQ(world.computed, kSteps * 8) << "micro-batches";
  EXPECT_THAT(world.events, Not(Contains(StartsWith("lost"))));
}

TEST_P(CoordinatorDrains, RanksMayBeAskedToLeaveAtAnyPoint) {
  std::size_t left = 0;
  for (const std::set<Rank>& leaving : {std::set<Rank>{0}, std::set<Rank>{1, 3}, std::set<Rank>{0, 1, 2}}) {
    for (std::size_t at = 0;; ++at) {
      SCOPED_TRACE(testing::Message() << leaving.size() << " leave after " << at << " messages");
      SimulatedWorld made = world(4, at + 1);
      std::size_t delivered = 0;
      made.run([&](SimulatedWorld& w) {
        if (delivered++ == at && w.coordinator().why_not_drain(leaving).empty()) w.drain(leaving);
      });
      if (delivered <= at) break;
      expect_nothing_lost(made);
      if (std::count_if(made.events.begin(), made.events.end(),
                        [](const std::string& event) { return event.starts_with("drained"); }) == 0) {
        continue;  // the run was at its end
      }
      ++left;
      for (const Rank rank : leaving) {
        EXPECT_EQ(made.rank(rank), nullptr);
        EXPECT_FALSE(made.coordinator().view().index_of(rank).has_value());
      }
    }
  }
  EXPECT_GT(left, 100U);
}

TEST_P(CoordinatorDrains, WhoHasLeftComesBackWhenAskedAndNotBefore) {
  SimulatedWorld made = world(3, 5);
  Connection early = 0;
  bool is_back = false;
  made.run([&](SimulatedWorld& w) {
    if (w.done() == 1 && w.events.back().starts_with("view")) w.drain({1});
    if (w.coordinator().view().size() == 2 && early == 0) early = w.start_rank(1);
    if (early != 0 && !w.refusal_of(early).empty() && !std::exchange(is_back, true)) {
      w.invite({1}, 3);
      w.start_rank(1);
    }
  });
  expect_nothing_lost(made);
  EXPECT_THAT(made.refusal_of(early), HasSubstr("host b is drained"));
  EXPECT_EQ(made.coordinator().view().size(), 3U);
  EXPECT_EQ(made.commits.back().ranks, 3U);
}

TEST_P(CoordinatorDrains, NewNumbersJoin) {
  SimulatedWorld made = world(2, 6);
  Connection uninvited = 0;
  made.run([&](SimulatedWorld& w) {
    if (w.done() == 1 && uninvited == 0) {
      uninvited = w.start_rank(2);
    } else if (w.done() == 2 && w.alive() <= 3 && w.rank(3) == nullptr) {
      w.invite({2, 3}, 4);
      w.start_rank(2);
      w.start_rank(3);
    }
  });
  expect_nothing_lost(made);
  EXPECT_THAT(made.refusal_of(uninvited), HasSubstr("rank 2 is not one of the 2 expected ranks"));
  EXPECT_EQ(made.coordinator().view().size(), 4U);
}

// Whatever else happens meanwhile: others are killed, leaving ones too, and the coordinator.
TEST_P(CoordinatorDrains, LossesOnTheWayCostWhatLossesCost) {
  std::size_t restarted = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SimulatedWorld made = world(5, seed);
    std::mt19937_64 random(seed);
    bool is_asked = false, is_restarted = false;
    std::size_t kills = 0;
    made.run([&](SimulatedWorld& w) {
      if (w.coordinator().view().size() == 0 || w.finished) return;
      if (!is_asked && random() % 12 == 0 && w.coordinator().why_not_drain({1, 2}).empty()) {
        w.drain({1, 2});
        is_asked = true;
      }
      if (is_asked && kills < 2 && random() % 15 == 0) {
        const Rank victim = static_cast<Rank>(random() % 5);
        if (w.rank(victim) != nullptr && w.alive() > 3) {
          w.kill(victim);
          ++kills;
        }
      }
      if (is_asked && !is_restarted && random() % 20 == 0) {
        w.restart_coordinator();
        is_restarted = true;
      }
    });
    made.pass(std::chrono::seconds(4));
    made.run();
    expect_success(made);
    restarted += is_restarted;
    if (is_asked && made.coordinator().view().size() > 0 && made.done() == kSteps) {
      EXPECT_LE(made.coordinator().view().size(), 5U);
    }
  }
  EXPECT_GT(restarted, 30U);
}

INSTANTIATE_TEST_SUITE_P(All, CoordinatorDrains,
                         testing::Values(Case{true, 2}, Case{true, 1}, Case{true, 3}, Case{false, 2}));

TEST(CoordinatorDrainsToo, MinRanksAreLeft) {
  CoordinatorOptions options = options_for(3, true);
  options.min_ranks = 2;
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  EXPECT_THAT(world.coordinator().why_not_drain({0}), HasSubstr("has not begun"));
  bool asked = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() != 2 || std::exchange(asked, true)) return;
    EXPECT_EQ(w.coordinator().why_not_drain({0, 1}), "it would leave 1 of 3 ranks, and min_ranks: 2 are needed");
    EXPECT_EQ(w.coordinator().why_not_drain({0}), "");
    w.drain({0});
    EXPECT_EQ(w.coordinator().why_not_drain({1}), "it would leave 1 of 2 ranks, and min_ranks: 2 are needed");
  });
  expect_nothing_lost(world);
  EXPECT_THAT(world.coordinator().why_not_drain({1}), HasSubstr("about to end"));
}

// What those have that leave goes to the others first, also where nobody else has it.
TEST(CoordinatorDrainsToo, NothingIsLoadedAndNoCheckpointTaken) {
  for (const std::uint32_t copies : {1U, 2U}) {
    CoordinatorOptions options = options_for(3, true);
    options.policy = {.max_grad_norm = 1, .state_copies = copies};
    SimulatedWorld world(options, workload_of(kSteps, 8));
    for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
    bool asked = false;
    std::vector<std::string> views;
    world.run([&](SimulatedWorld& w) {
      if (w.done() == 2 && !std::exchange(asked, true)) w.drain({2});
      std::string view;
      for (const Member& member : w.coordinator().view().members) {
        view += std::to_string(member.rank) + (member.is_leaving ? " leaves" : " ");
      }
      if (views.empty() || views.back() != view) views.push_back(view);
    });
    expect_nothing_lost(world);
    EXPECT_THAT(views, testing::ElementsAre("", "0 1 2 ", "0 1 2 leaves", "0 1 "));
    EXPECT_EQ(world.loads, 1U);
    EXPECT_EQ(world.manifests.size(), 1U) << "the last step's";
  }
}

TEST(CoordinatorDrainsToo, WhoseShardIsOnItsWayStays) {
  CoordinatorOptions options = options_for(3, true);
  options.policy.eval_every = 0;                             // the best step's snapshot would wait for this one
  SimulatedWorld world(options, workload_of(kSteps, 8, 3));  // a chunk each
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  bool asked = false, killed = false;
  world.run([&](SimulatedWorld& w) {
    w.slow_disks = w.done() == 1 ? std::set<Rank>{2} : std::set<Rank>{};  // for the snapshot of step 2
    if (w.done() == 2 && !std::exchange(asked, true)) w.drain({2});
    if (w.done() != 5 || std::exchange(killed, true)) return;
    EXPECT_TRUE(w.coordinator().view().index_of(2).has_value());
    w.kill(2);
  });
  EXPECT_TRUE(killed);
  expect_success(world);
}

// One that is asked back before it has left stays, and has its share again.
TEST(CoordinatorDrainsToo, WhoIsAskedBackInTimeStays) {
  SimulatedWorld world(options_for(3, true), workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  bool asked = false, asked_back = false;
  world.run([&](SimulatedWorld& w) {
    const View& view = w.coordinator().view();
    if (w.done() == 2 && !std::exchange(asked, true)) w.drain({2});
    if (view.size() == 3 && view.members[2].is_leaving && !std::exchange(asked_back, true)) w.invite({2}, 3);
  });
  expect_nothing_lost(world);
  EXPECT_TRUE(asked_back);
  ASSERT_EQ(world.coordinator().view().size(), 3U);
  EXPECT_FALSE(world.coordinator().view().members[2].is_leaving);
}

// Who would not have stayed enough when they were asked may go when others have come.
TEST(CoordinatorDrainsToo, NobodyLeavesWhileTooFewWouldStay) {
  CoordinatorOptions options = options_for(3, true);
  options.min_ranks = 2;
  SimulatedWorld world(options, workload_of(kSteps, 8));
  for (Rank rank = 0; rank < 3; ++rank) world.start_rank(rank);
  bool asked = false, killed = false, back = false;
  world.run([&](SimulatedWorld& w) {
    if (w.done() == 1 && !std::exchange(asked, true)) w.drain({2});
    if (asked && !std::exchange(killed, true)) w.kill(0);
    if (w.done() != 3 || std::exchange(back, true)) return;
    EXPECT_TRUE(w.coordinator().view().index_of(2).has_value());
    w.start_rank(0);
  });
  expect_success(world);
  EXPECT_EQ(world.coordinator().view().size(), 2U);
  EXPECT_FALSE(world.coordinator().view().index_of(2).has_value());
}

}  // namespace
}  // namespace cadre::runtime
