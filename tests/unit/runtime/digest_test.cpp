#include "runtime/digest.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace cadre::runtime {
namespace {

TEST(Digest, DependsOnEveryBitLengthAndSeed) {
  for (const std::size_t size : {1u, 8u, 31u, 32u, 33u, 100u}) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37);
    std::set<std::uint64_t> seen{digest_of(bytes, 1), digest_of(bytes, 2)};
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      seen.insert(digest_of(bytes, 1));
      bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
    EXPECT_EQ(seen.size(), 2 + 8 * size) << size;
  }
}

TEST(Digest, ZerosOfDifferentLengthsDiffer) {
  std::set<std::uint64_t> seen;
  const std::vector<std::byte> zeros(200);
  for (std::size_t size = 0; size <= 200; ++size) seen.insert(digest_of(std::span(zeros).first(size), 7));
  EXPECT_EQ(seen.size(), 201u);
}

TEST(Digest, OrderMatters) {
  std::vector<std::byte> bytes(64);
  bytes[0] = std::byte{1};
  const std::uint64_t first = digest_of(bytes, 0);
  std::swap(bytes[0], bytes[32]);
  EXPECT_NE(digest_of(bytes, 0), first);
}

}  // namespace
}  // namespace cadre::runtime
