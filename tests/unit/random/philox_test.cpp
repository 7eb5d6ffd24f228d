#include "trainer/random/philox.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace cadre::random {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// The known answers that Random123 publishes for philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox4x32::block({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kAll = 0xffffffff;
  EXPECT_EQ(Philox4x32::block({kAll, kAll, kAll, kAll}, {kAll, kAll}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32::block({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, IsAConstantExpression) {
  static_assert(Philox4x32::block({0, 0, 0, 0}, {0, 0})[0] == 0x6627e8d5);
  static_assert(PhiloxSequence(0, 0, PhiloxStream::kRowOrder).below(1) == 0);
}

TEST(PhiloxSequence, WalksTheCounter) {
  PhiloxSequence sequence(0x0000000200000001, 0x0000000400000003, PhiloxStream::kDropout);
  for (std::uint32_t block = 0; block < 3; ++block)
    for (const std::uint32_t word : Philox4x32::block({block, 3, 4, 3}, {1, 2})) EXPECT_EQ(sequence.next(), word);
}

TEST(PhiloxSequence, BoundedIntegersAreUniform) {
  // Without rejection, three quarters of 2^32 would give each multiple of three twice as often as other numbers.
  constexpr std::uint32_t kBound = 3u << 30;
  constexpr int kDraws = 200'000;
  PhiloxSequence sequence(7, 0, PhiloxStream::kRowOrder);
  std::vector<int> thirds(3), residues(3);
  for (int i = 0; i < kDraws; ++i) {
    const std::uint32_t value = sequence.below(kBound);
    ASSERT_LT(value, kBound);
    ++thirds[value / (kBound / 3)];
    ++residues[value % 3];
  }
  for (const auto& counts : {thirds, residues}) {
    double chi_square = 0;
    for (const int count : counts) chi_square += (count - kDraws / 3.0) * (count - kDraws / 3.0) / (kDraws / 3.0);
    EXPECT_LT(chi_square, 13.8);  // 2 degrees of freedom, p = 0.001
  }
}

}  // namespace
}  // namespace cadre::random
