#include "launch/coordinator_process.h"

#include <gtest/gtest.h>

#include "launch/exit_code.h"

namespace cadre::launch {
namespace {

using std::chrono::milliseconds;

TEST(AfterCoordinatorEnded, ItsExitCodeIsTheRuns) {
  for (const int code : {kDone, kFailed, kUserMustMend, kResumable, 42}) {
    const AfterEnd after = after_coordinator_ended({.ended = {.code = code}});
    EXPECT_FALSE(after.starts_again);
    EXPECT_EQ(after.exit_code, code);
    EXPECT_EQ(after.reason, "");
  }
}

TEST(AfterCoordinatorEnded, OneThatASignalEndedStartsAgain) {
  EXPECT_TRUE(after_coordinator_ended({.ended = {.signal = 9}, .lived = milliseconds(10)}).starts_again);
  EXPECT_TRUE(after_coordinator_ended({.ended = {.signal = 9}, .lived = kShortLife, .short_lives = 99}).starts_again);
}

TEST(AfterCoordinatorEnded, NotForEver) {
  const AfterEnd after =
      after_coordinator_ended({.ended = {.signal = 9}, .lived = milliseconds(10), .short_lives = kMaxShortLives - 1});
  EXPECT_FALSE(after.starts_again);
  EXPECT_EQ(after.exit_code, kFailed);
  EXPECT_EQ(after.reason, "the coordinator was ended 3 times just after its start, the last time by signal 9 (Killed)");
}

TEST(AfterCoordinatorEnded, WhatHasAResultIsNotRunAgain) {
  const AfterEnd after = after_coordinator_ended({.ended = {.signal = 11}, .has_result = true});
  EXPECT_FALSE(after.starts_again);
  EXPECT_EQ(after.exit_code, kFailed);
}

TEST(Ended, OfAShell) {
  EXPECT_EQ(of_shell_code(0), (Ended{.code = 0}));
  EXPECT_EQ(of_shell_code(127), (Ended{.code = 127}));
  EXPECT_EQ(of_shell_code(137), (Ended{.signal = 9}));
  EXPECT_EQ(describe(of_shell_code(3)), "exit code 3");
}

}  // namespace
}  // namespace cadre::launch
