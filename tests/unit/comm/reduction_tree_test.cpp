#include "comm/reduction_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "runtime/micro_batches.h"

namespace cadre::comm {
namespace {

// The tree by its definition: a range splits at the largest power of two below its size.
std::vector<float> by_definition(std::span<const std::vector<float>> operands) {
  if (operands.size() == 1) return operands[0];
  const std::size_t left = runtime::split_of(static_cast<std::uint32_t>(operands.size()));
  std::vector<float> sum = by_definition(operands.first(left));
  add_in_place(sum, by_definition(operands.subspan(left)));
  return sum;
}

TEST(ReductionTree, TreeSumGivesTheBitsOfTheDefinition) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal(0, 1e3f);
  bool order_matters = false;
  for (std::size_t m = 1; m <= 70; ++m) {
    std::vector<std::vector<float>> operands(m, std::vector<float>(5));
    TreeSum sum;
    std::vector<float> in_sequence(5);
    for (auto& operand : operands) {
      for (float& value : operand) value = normal(generator);
      sum.add(operand);
      add_in_place(in_sequence, operand);
    }
    EXPECT_EQ(sum.count(), m);
    const std::vector<float> result = sum.finish();
    EXPECT_EQ(result, by_definition(operands)) << m;
    order_matters = order_matters || result != in_sequence;
  }
  EXPECT_TRUE(order_matters) << "the operands are too tame to tell orders apart";
}

TEST(ReductionTree, ALastOperandInPiecesGivesTheSameBits) {
  std::mt19937 generator(19);
  std::normal_distribution<float> normal(0, 1e3f);
  TreeSum sum;
  for (std::size_t m = 1; m <= 40; ++m) {
    std::vector<std::vector<float>> operands(m, std::vector<float>(7));
    for (auto& operand : operands) {
      for (float& value : operand) value = normal(generator);
      if (&operand != &operands.back()) sum.add(operand);
    }
    const std::vector<float> expected = by_definition(operands);
    for (const auto& [begin, size] : {std::pair{5u, 2u}, {0u, 1u}, {1u, 4u}}) {
      const std::span<const float> piece =
          sum.finish_piece(7, begin, std::span<const float>(operands.back()).subspan(begin, size));
      EXPECT_TRUE(std::equal(piece.begin(), piece.end(), expected.begin() + begin)) << m;
    }
    EXPECT_EQ(sum.finish_pieces(), expected) << m;
  }
}

TEST(ReductionTree, WhatIsWholeOfASumCanBeTaken) {
  for (std::uint32_t m = 0; m < 40; ++m) {
    std::vector<std::vector<float>> operands(m, std::vector<float>(3));
    TreeSum sum;
    for (std::uint32_t i = 0; i < m; ++i) {
      operands[i] = {1.0f + static_cast<float>(i), 1e-7f * static_cast<float>(i), 1e7f};
      sum.add(operands[i]);
    }
    std::uint32_t begin = 0;
    for (const auto& [leaves, partial] : sum.take_partials()) {
      const runtime::Range node{begin, begin + static_cast<std::uint32_t>(leaves)};
      EXPECT_EQ(runtime::whole_subtrees(node, 64), std::vector{node}) << "it is none of a larger tree";
      EXPECT_EQ(partial, by_definition(std::span<const std::vector<float>>(operands).subspan(begin, leaves)));
      begin = node.end;
    }
    EXPECT_EQ(begin, m);
    EXPECT_EQ(sum.count(), 0U);
  }
  TreeSum sum;
  const std::vector<float> operand(3, 1.0f);
  sum.add(operand);
  sum.finish_piece(3, 0, std::span(operand).first(1));
  EXPECT_TRUE(sum.take_partials().empty()) << "a part of the next operand is in it";
}

TEST(ReductionTree, NodesInAnyOrderGiveTheBitsOfTheDefinition) {
  std::mt19937 generator(11);
  std::normal_distribution<float> normal(0, 1e3f);
  for (std::uint32_t m = 1; m <= 40; ++m) {
    std::vector<std::vector<float>> operands(m, std::vector<float>(3));
    for (auto& operand : operands) {
      for (float& value : operand) value = normal(generator);
    }
    const std::size_t ranks = 1 + generator() % 9;
    std::vector<runtime::Range> nodes;
    for (const runtime::Range& share : runtime::share_out(m, ranks)) {
      const auto whole = runtime::whole_subtrees(share, m);
      nodes.insert(nodes.end(), whole.begin(), whole.end());
    }
    std::shuffle(nodes.begin(), nodes.end(), generator);
    NodeSums sums(m);
    for (const runtime::Range& node : nodes) {
      EXPECT_FALSE(sums.complete());
      TreeSum sum;
      for (std::uint32_t i = node.begin; i < node.end; ++i) sum.add(operands[i]);
      sums.add(node, Operand::of(sum.finish()));
    }
    ASSERT_TRUE(sums.complete());
    const Operand whole = sums.take();
    EXPECT_EQ(std::vector<float>(whole.values.begin(), whole.values.end()), by_definition(operands)) << m;
  }
}

TEST(ReductionTree, ANodeThatIsNoneIsRefused) {
  NodeSums sums(8);
  EXPECT_THROW(sums.add({1, 3}, Operand::of({1.0f})), std::logic_error);
  sums.add({0, 4}, Operand::of({1.0f}));
  EXPECT_THROW(sums.take(), std::logic_error);
  EXPECT_THROW(sums.add({0, 4}, Operand::of({1.0f})), std::logic_error);
}

}  // namespace
}  // namespace cadre::comm
