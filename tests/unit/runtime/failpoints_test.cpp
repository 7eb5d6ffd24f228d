#include "runtime/failpoints.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "runtime/error.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

TEST(Failpoints, FireOnceAtTheirPlaceInTheirProcess) {
  const auto points = Failpoints::parse("forward@3/1=flip;gather@*/1=error;forward@3/2=kill", "1");
  EXPECT_FALSE(points->reached(Failpoint::kForward, 2));
  EXPECT_FALSE(points->reached(Failpoint::kBackward, 3));
  EXPECT_TRUE(points->reached(Failpoint::kForward, 3));
  EXPECT_FALSE(points->reached(Failpoint::kForward, 3)) << "a second time";
  EXPECT_THROW(points->reached(Failpoint::kGather, 17), RunError);
  EXPECT_FALSE(points->reached(Failpoint::kGather, 18));
}

TEST(Failpoints, OfOthersDoNothing) {
  EXPECT_TRUE(Failpoints::parse("forward@3/1=kill", "coordinator")->empty());
  EXPECT_TRUE(Failpoints::parse("", "0")->empty());
  EXPECT_FALSE(Failpoints::parse("end@0/launcher=stop;", "launcher")->empty());
}

TEST(Failpoints, WithMarksFireOnceInAllProcesses) {
  const TestFolder scratch;
  const std::string text = "marks=" + scratch.path().string() + ";apply@*/0=flip";
  EXPECT_TRUE(Failpoints::parse(text, "0")->reached(Failpoint::kApply, 5));
  EXPECT_TRUE(std::filesystem::exists(scratch.path() / "apply@*.0"));
  EXPECT_FALSE(Failpoints::parse(text, "0")->reached(Failpoint::kApply, 5)) << "in the one that takes its place";
}

TEST(Failpoints, Kill) {
  const pid_t child = ::fork();
  if (child == 0) {
    Failpoints::parse("end@4/coordinator=kill", "coordinator")->reached(Failpoint::kEnd, 4);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(Failpoints, WhatIsMalformedIsTheUsersError) {
  for (const char* text :
       {"forward", "forward@3", "forward@3/1", "backwards@3/1=kill", "forward@x/1=kill", "forward@/1=kill",
        "forward@-1/1=kill", "forward@3/one=kill", "forward@3/=kill", "forward@3/1=explode", "forward@3/1=pause",
        "forward@3/1=pause:", "forward@3/1=pause:2s", "end@1/0=kill;forward@99999999999999999999999/1=kill"}) {
    EXPECT_THROW(Failpoints::parse(text, "0"), UserError) << text;
  }
}

}  // namespace
}  // namespace cadre::runtime
