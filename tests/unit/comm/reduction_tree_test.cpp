#include "comm/reduction_tree.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace cadre::comm
