#include "comm/reduction_tree.h"

#include <utility>

#include "runtime/error.h"

namespace cadre::comm {

void add_in_place(std::span<float> to, std::span<const float> from) {
  CADRE_CHECK(to.size() == from.size(), to.size(), " += ", from.size());
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

// Whole subtrees of equal size meet like the carries of a binary counter.
void TreeSum::add(std::vector<float> operand) {
  ++count_;
  Partial right{1, std::move(operand)};
  while (!partials_.empty() && partials_.back().operands == right.operands) {
    Partial left = std::move(partials_.back());
    partials_.pop_back();
    add_in_place(left.sum, right.sum);
    left.operands += right.operands;
    right = std::move(left);
  }
  partials_.push_back(std::move(right));
}

// What is left over on the right joins first: a range that is no power of two splits at the largest one below it.
std::vector<float> TreeSum::finish() {
  CADRE_CHECK(!partials_.empty(), "a sum of nothing");
  std::vector<float> right = std::move(partials_.back().sum);
  partials_.pop_back();
  while (!partials_.empty()) {
    add_in_place(partials_.back().sum, right);
    right = std::move(partials_.back().sum);
    partials_.pop_back();
  }
  count_ = 0;
  return right;
}

}  // namespace cadre::comm
