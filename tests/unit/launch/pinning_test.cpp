#include "launch/pinning.h"

#include <gtest/gtest.h>

#include <thread>

namespace cadre::launch {
namespace {

using Processors = std::vector<int>;

TEST(Pinning, GivesEachLocalRankItsPart) {
  const Processors allowed = {0, 2, 4, 6, 7};
  EXPECT_EQ(choose_processors({allowed, 0, 2, 2}), (Processors{0, 2}));
  EXPECT_EQ(choose_processors({allowed, 1, 2, 2}), (Processors{4, 6, 7}));
  EXPECT_EQ(choose_processors({allowed, 4, 5, 1}), (Processors{7}));
  EXPECT_EQ(choose_processors({allowed, 0, 1, 3}), allowed);
}

TEST(Pinning, EveryProcessorIsSomebodysAndEachRankHasAsManyAsThreads) {
  Processors allowed;
  for (int processor = 3; processor < 40; ++processor) allowed.push_back(processor);
  for (std::uint32_t size = 1; size <= allowed.size(); ++size) {
    const auto threads = static_cast<std::uint32_t>(allowed.size()) / size;
    Processors all;
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      const Processors own = choose_processors({allowed, rank, size, threads});
      EXPECT_GE(own.size(), threads);
      all.insert(all.end(), own.begin(), own.end());
    }
    EXPECT_EQ(all, allowed) << size;
  }
}

TEST(Pinning, LeavesAllFreeWhereThereAreTooFew) {
  EXPECT_EQ(choose_processors({{0, 1, 2}, 0, 2, 2}), Processors{});
  EXPECT_EQ(choose_processors({{}, 0, 1, 1}), Processors{});
  EXPECT_EQ(choose_processors({{0, 1}, 2, 2, 1}), Processors{});
  EXPECT_EQ(choose_processors({{0, 1}, 0, 1, 0}), Processors{});
  EXPECT_EQ(choose_processors({{0, 1}, 0, ~0u, ~0u}), Processors{});
}

// On a thread of its own: the others of this process stay where they are.
TEST(Pinning, AThreadThatIsPinnedMayUseItsPartOnly) {
  Processors now;
  const Processors before = allowed_processors();
  std::thread([&] {
    EXPECT_TRUE(pin_to({before.back()}));
    now = allowed_processors();
  }).join();
  EXPECT_EQ(now, Processors{before.back()});
  EXPECT_EQ(allowed_processors(), before);
  EXPECT_FALSE(pin_to({}));
}

}  // namespace
}  // namespace cadre::launch
