#include "runtime/digest.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace cadre::runtime {
namespace {

TEST(Digest, DependsOnEveryBitLengthAndSeed) {
  for (const std::size_t size : {1u, 7u, 8u, 63u, 64u, 65u, 200u}) {
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

// Also between the lanes, between the words of a lane and from block to block.
TEST(Digest, OrderMatters) {
  std::vector<std::byte> bytes(192);
  bytes[0] = std::byte{1};
  std::set<std::uint64_t> seen{digest_of(bytes)};
  for (std::size_t at = 1; at < bytes.size(); ++at) {
    std::swap(bytes[0], bytes[at]);
    seen.insert(digest_of(bytes));
    std::swap(bytes[0], bytes[at]);
  }
  EXPECT_EQ(seen.size(), bytes.size());
}

// As the optimizer's state is hashed: each part seeds the next, and the chunk's number seeds the first.
TEST(Digest, SeedsThatDifferLittleGiveSumsThatDiffer) {
  std::set<std::uint64_t> seen;
  const std::vector<std::byte> bytes(256);
  for (std::uint64_t chunk = 0; chunk < 10000; ++chunk) seen.insert(digest_of(bytes, chunk) + digest_of({}, chunk));
  EXPECT_EQ(seen.size(), 10000u);
}

}  // namespace
}  // namespace cadre::runtime
