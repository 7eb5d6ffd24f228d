#include "launch/absences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cadre::launch {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Absences::TimePoint kNow{1h};

TEST(Absences, OneThatDoesNotJoinIsBorneForSomeSeconds) {
  Absences absences(3s);
  absences.started(0, kNow);
  absences.started(1, kNow + 1s);
  absences.joined(0);
  EXPECT_THAT(absences.absent(), ElementsAre(1));
  EXPECT_THAT(absences.due(kNow + 11s - 1ms), IsEmpty());
  EXPECT_THAT(absences.due(kNow + 11s), ElementsAre(1));
}

TEST(Absences, OneThatLoadsIsNeverDueHoweverLongItTakes) {
  Absences absences(3s);
  absences.started(0, kNow);
  absences.joined(0);
  EXPECT_THAT(absences.due(kNow + 24h), IsEmpty());
}

TEST(Absences, AMemberIsBorneLongerThanOneThatLoads) {
  Absences absences(3s);
  for (const std::uint32_t rank : {0U, 1U}) absences.started(rank, kNow), absences.joined(rank);
  absences.lost(0, true, kNow);
  absences.lost(1, false, kNow);
  EXPECT_THAT(absences.due(kNow + 6s), ElementsAre(1));
  EXPECT_THAT(absences.due(kNow + 30s - 1ms), ElementsAre(1));
  EXPECT_THAT(absences.due(kNow + 30s), ElementsAre(0, 1));
}

TEST(Absences, WhoComesBackIsBorneAnew) {
  Absences absences(3s);
  absences.started(0, kNow);
  absences.joined(0);
  absences.lost(0, true, kNow);
  absences.lost(0, false, kNow + 1s);  // is lost already
  EXPECT_TRUE(absences.is_absent(0));
  absences.joined(0);
  EXPECT_FALSE(absences.is_absent(0));
  EXPECT_THAT(absences.due(kNow + 30s), IsEmpty());
  absences.lost(0, true, kNow + 30s);
  EXPECT_THAT(absences.due(kNow + 60s), ElementsAre(0));
}

TEST(Absences, ItsJoiningMayBeHeardOfBeforeItsStart) {
  Absences absences(3s);
  absences.joined(0);
  absences.started(0, kNow);
  EXPECT_FALSE(absences.is_absent(0));
  absences.lost(0, false, kNow);
  EXPECT_THAT(absences.due(kNow + 6s), ElementsAre(0));
}

TEST(Absences, WhoseProcessHasEndedIsAnotherMatter) {
  Absences absences(3s);
  absences.started(0, kNow);
  absences.ended(0);
  absences.lost(0, true, kNow);
  EXPECT_THAT(absences.absent(), IsEmpty());
  EXPECT_FALSE(absences.is_absent(0));
}

TEST(Absences, AllAreToComeToANewCoordinator) {
  Absences absences(3s);
  for (const std::uint32_t rank : {0U, 1U, 2U}) absences.started(rank, kNow), absences.joined(rank);
  absences.lost(2, false, kNow);
  absences.coordinator_began(kNow + 1s);
  absences.joined(1);
  EXPECT_THAT(absences.absent(), ElementsAre(0, 2));
  EXPECT_THAT(absences.due(kNow + 6s), ElementsAre(2));  // as before
  EXPECT_THAT(absences.due(kNow + 31s), ElementsAre(0, 2));
}

}  // namespace
}  // namespace cadre::launch
