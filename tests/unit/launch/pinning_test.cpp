#include "launch/pinning.h"

#include <gtest/gtest.h>

namespace cadre::launch {
namespace {

using Processors = std::vector<int>;

TEST(Pinning, GivesEachLocalRankItsOwn) {
  const Processors allowed = {0, 2, 4, 6, 7};
  EXPECT_EQ(choose_processors({allowed, 0, 2, 2}), (Processors{0, 2}));
  EXPECT_EQ(choose_processors({allowed, 1, 2, 2}), (Processors{4, 6}));
  EXPECT_EQ(choose_processors({allowed, 4, 5, 1}), (Processors{7}));
}

TEST(Pinning, LeavesAllFreeWhereThereAreTooFew) {
  EXPECT_EQ(choose_processors({{0, 1, 2}, 0, 2, 2}), Processors{});
  EXPECT_EQ(choose_processors({{}, 0, 1, 1}), Processors{});
  EXPECT_EQ(choose_processors({{0, 1}, 2, 2, 1}), Processors{});
  EXPECT_EQ(choose_processors({{0, 1}, 0, 1, 0}), Processors{});
  EXPECT_EQ(choose_processors({{0, 1}, 0, ~0u, ~0u}), Processors{});
}

}  // namespace
}  // namespace cadre::launch
