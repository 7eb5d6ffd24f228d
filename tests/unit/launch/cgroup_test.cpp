#include "launch/cgroup.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/runtime/test_folder.h"

namespace cadre::launch {
namespace {

namespace fs = std::filesystem;

class CgroupTest : public testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text << '\n';
  }
  CgroupLimits of(const std::string& own) const { return cgroup_limits(root_, own); }

  runtime::TestFolder folder_;
  fs::path root_ = folder_.path() / "cgroup";
};

TEST_F(CgroupTest, WithoutAnyThereIsNoLimit) {
  write("a/cpu.max", "max 100000");
  write("a/memory.max", "max");
  for (const char* own : {"/", "/a", "/absent/too", "/../.."}) {
    const CgroupLimits limits = of(own);
    EXPECT_FALSE(limits.cores || limits.memory_bytes || limits.memory_free_bytes) << own;
  }
}

TEST_F(CgroupTest, TheTightestOfAllThatItIsInCounts) {
  write("cpu.max", "800000 100000");
  write("job/cpu.max", "250000 100000");
  write("job/step/cpu.max", "max 100000");
  write("job/memory.max", "1000");
  write("job/memory.current", "900");
  write("job/step/memory.max", "800");
  write("job/step/memory.current", "500");
  write("job/memory.stat", "anon 700\ninactive_file 50\nactive_file 10");
  const CgroupLimits limits = of("/job/step");
  EXPECT_EQ(limits.cores, 2.5);
  EXPECT_EQ(limits.memory_bytes, 800U);
  EXPECT_EQ(limits.memory_free_bytes, 160U);
}

// As in a container, which sees its own group as the root, by whatever name it has outside.
TEST_F(CgroupTest, WhatIsNotSeenIsTakenForTheRoot) {
  write("cpu.max", "100000 100000");
  write("memory.max", "4096");
  for (const char* own : {"/", "/docker/0123", "/../0123"}) {
    EXPECT_EQ(of(own).cores, 1.0) << own;
    EXPECT_EQ(of(own).memory_free_bytes, 4096U) << own;
  }
}

TEST_F(CgroupTest, NonsenseIsNoLimit) {
  write("cpu.max", "-5 0");
  write("memory.max", "much");
  EXPECT_FALSE(of("/").cores || of("/").memory_bytes);
}

}  // namespace
}  // namespace cadre::launch
