#include "runtime/disputes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cadre::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

void say(Disputes& disputes, std::uint64_t step, Rank rank, std::vector<ChunkDigest> said) {
  disputes.hear(step, rank, said);
}

TEST(Disputes, RemediesGrowUntilAStepIsSettled) {
  using Remedy = Disputes::Remedy;
  Disputes disputes;
  EXPECT_FALSE(disputes.is_open(5));
  EXPECT_EQ(disputes.disagreed(5, false), Remedy::kDoAgain);
  EXPECT_EQ(disputes.disagreed(5, false), Remedy::kGoBack);
  // On the way back to it.
  EXPECT_TRUE(disputes.is_open(3));
  disputes.settle(3, {});
  EXPECT_TRUE(disputes.is_open(5));
  EXPECT_FALSE(disputes.is_open(6));
  EXPECT_EQ(disputes.disagreed(4, false), Remedy::kPutOut);
  EXPECT_EQ(disputes.disagreed(5, false), Remedy::kGiveUp);
  disputes.settle(5, {});
  EXPECT_FALSE(disputes.is_open(5));
  EXPECT_EQ(disputes.disagreed(9, true), Remedy::kGoBack) << "the state itself";
}

TEST(Disputes, WhoSaidOtherwiseThanTheCommitHasErred) {
  Disputes disputes;
  for (std::uint32_t times = 1; times <= 3; ++times) {
    const std::uint64_t step = 10 * times;
    disputes.disagreed(step, false);
    say(disputes, step, 0, {{0, 7}, {1, 8}});
    say(disputes, step, 1, {{0, 99}, {2, 5}});
    say(disputes, step, 1, {{0, 7}, {2, 5}});
    say(disputes, step, 2, {{1, 8}, {2, 5}, {Disputes::kParameters, 3}});
    EXPECT_THAT(disputes.suspects(), ElementsAre(1));
    const auto erred = disputes.settle(step, {{0, 7}, {1, 8}, {2, 5}, {Disputes::kParameters, 3}});
    EXPECT_THAT(erred, ElementsAre(Pair(1, times)));
  }
  disputes.forget(1);
  disputes.disagreed(40, false);
  say(disputes, 40, 1, {{0, 1}});
  EXPECT_THAT(disputes.settle(40, {{0, 2}}), ElementsAre(Pair(1, 1)));
}

// Of two that each stand by their word none is believed; one against two is.
TEST(Disputes, MostAreBelievedWhereThreeSpeak) {
  Disputes two, three;
  for (Disputes* disputes : {&two, &three}) {
    disputes->disagreed(1, false);
    say(*disputes, 1, 0, {{4, 1}});
    say(*disputes, 1, 1, {{4, 2}});
  }
  say(three, 1, 2, {{4, 1}});
  EXPECT_THAT(two.suspects(), IsEmpty());
  EXPECT_THAT(three.suspects(), ElementsAre(1));
}

}  // namespace
}  // namespace cadre::runtime
