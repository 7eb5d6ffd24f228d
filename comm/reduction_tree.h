// The one order in which the gradients of a step's micro-batches are added, whatever rank computes them: a binary tree
// over their indices in which a range splits at the largest power of two below its size. Sums differ with their order;
// this one is fixed, so the result is a function of the micro-batches alone.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace cadre::comm {

// to[i] += from[i]: the left operand of the tree is `to`.
void add_in_place(std::span<float> to, std::span<const float> from);

// Adds operands 0, 1, 2, … of one tree as they come, left to right, holding at most log2(M) + 1 partial sums.
class TreeSum {
 public:
  // Adds the next operand; all of one size. The memory of `operand` is kept.
  void add(std::vector<float> operand);
  std::size_t count() const { return count_; }
  // The sum of all operands added (count() > 0); the object is empty afterwards.
  std::vector<float> finish();

 private:
  struct Partial {
    std::size_t operands;
    std::vector<float> sum;
  };
  std::vector<Partial> partials_;  // sizes are falling powers of two
  std::size_t count_ = 0;
};

}  // namespace cadre::comm
