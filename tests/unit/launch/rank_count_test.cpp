#include "launch/rank_count.h"

#include <gtest/gtest.h>

namespace cadre::launch {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(RankCount, OneACoreAsFarAsMemoryAndWorkGo) {
  EXPECT_EQ(default_ranks(8, 64 * kGiB, {.threads = 1, .memory_bytes = kGiB, .most_micro_batches = 100}), 8u);
  EXPECT_EQ(default_ranks(8, 64 * kGiB, {.threads = 3, .memory_bytes = kGiB, .most_micro_batches = 100}), 2u);
  EXPECT_EQ(default_ranks(8, 5 * kGiB, {.threads = 1, .memory_bytes = 2 * kGiB, .most_micro_batches = 100}), 2u);
  EXPECT_EQ(default_ranks(8, 64 * kGiB, {.threads = 1, .memory_bytes = kGiB, .most_micro_batches = 4}), 4u);
}

TEST(RankCount, AtLeastOne) {
  EXPECT_EQ(default_ranks(2, kGiB, {.threads = 4, .memory_bytes = 2 * kGiB, .most_micro_batches = 4}), 1u);
  EXPECT_EQ(default_ranks(0, 0, {}), 1u);
}

}  // namespace
}  // namespace cadre::launch
