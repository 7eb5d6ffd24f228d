#include "comm/reduction_tree.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"

namespace cadre::comm {
namespace {

using runtime::Range;

struct Family {
  Range parent, sibling;
  bool is_left;
};

// Where `node` hangs in the tree over [0, count).
Family family_of(Range node, std::uint32_t count) {
  Range parent{0, count};
  while (true) {
    CADRE_CHECK(parent.size() > 1 && parent.begin <= node.begin && node.end <= parent.end, "[", node.begin, ", ",
                node.end, ") is no node below the root of ", count);
    const std::uint32_t middle = parent.begin + runtime::split_of(parent.size());
    const Range left{parent.begin, middle}, right{middle, parent.end};
    if (node == left) return {parent, right, true};
    if (node == right) return {parent, left, false};
    parent = node.end <= middle ? left : right;
  }
}

Operand sum_of(Operand left, const Operand& right) {
  if (left.owned.empty()) left = Operand::of({left.values.begin(), left.values.end()});
  add_in_place(left.owned, right.values);
  return left;
}

}  // namespace

void add_in_place(std::span<float> to, std::span<const float> from) {
  CADRE_CHECK(to.size() == from.size(), to.size(), " += ", from.size());
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

// Whole subtrees of equal size meet like the carries of a binary counter.
void TreeSum::add(std::span<const float> operand) {
  ++count_;
  if (partials_.empty() || partials_.back().operands != 1) {
    std::vector<float> copy;
    if (!spare_.empty()) {
      copy = std::move(spare_.back());
      spare_.pop_back();
    }
    copy.assign(operand.begin(), operand.end());
    partials_.push_back({1, std::move(copy)});
    return;
  }
  add_in_place(partials_.back().sum, operand);
  partials_.back().operands = 2;
  while (partials_.size() > 1 && partials_[partials_.size() - 2].operands == partials_.back().operands) {
    Partial right = std::move(partials_.back());
    partials_.pop_back();
    add_in_place(partials_.back().sum, right.sum);
    partials_.back().operands += right.operands;
    spare_.push_back(std::move(right.sum));
  }
}

// What is left over on the right joins first: a range that is no power of two splits at the largest one below it.
std::vector<float> TreeSum::finish() {
  CADRE_CHECK(!partials_.empty(), "a sum of nothing");
  while (partials_.size() > 1) {
    Partial right = std::move(partials_.back());
    partials_.pop_back();
    add_in_place(partials_.back().sum, right.sum);
    spare_.push_back(std::move(right.sum));
  }
  std::vector<float> sum = std::move(partials_.back().sum);
  partials_.clear();
  count_ = 0;
  return sum;
}

// The same additions as add() and finish() make for it: always with all partial sums, from right to left.
std::span<const float> TreeSum::finish_piece(std::size_t size, std::size_t begin, std::span<const float> operand) {
  in_pieces_ = true;
  if (partials_.empty()) {
    std::vector<float> sum;
    if (!spare_.empty()) {
      sum = std::move(spare_.back());
      spare_.pop_back();
    }
    sum.resize(size);
    partials_.push_back({1, std::move(sum)});
    is_one_leaf_ = true;
  }
  if (is_one_leaf_) {
    const std::span<float> place = std::span(partials_.front().sum).subspan(begin, operand.size());
    std::copy(operand.begin(), operand.end(), place.begin());
    return place;
  }
  for (auto partial = partials_.rbegin(); partial != partials_.rend(); ++partial) {
    const std::span<float> place = std::span(partial->sum).subspan(begin, operand.size());
    add_in_place(place, operand);
    operand = place;
  }
  return operand;
}

std::vector<float> TreeSum::finish_pieces() {
  CADRE_CHECK(!partials_.empty(), "a sum of nothing");
  std::vector<float> sum = std::move(partials_.front().sum);
  for (std::size_t i = 1; i < partials_.size(); ++i) spare_.push_back(std::move(partials_[i].sum));
  clear();
  return sum;
}

std::vector<std::pair<std::size_t, std::vector<float>>> TreeSum::take_partials() {
  std::vector<std::pair<std::size_t, std::vector<float>>> taken;
  if (!in_pieces_) {
    for (Partial& partial : partials_) taken.emplace_back(partial.operands, std::move(partial.sum));
  }
  clear();
  return taken;
}

void TreeSum::clear() {
  partials_.clear();
  is_one_leaf_ = in_pieces_ = false;
  count_ = 0;
}

Operand Operand::of(std::vector<float> values) {
  Operand operand;
  operand.owned = std::move(values);
  operand.values = operand.owned;
  return operand;
}

void NodeSums::add(Range node, Operand operand) {
  while (!(node == Range{0, count_})) {
    const Family family = family_of(node, count_);
    const auto found = nodes_.find(family.sibling.begin);
    if (found == nodes_.end() || !(found->second.first == family.sibling)) break;
    Operand sibling = std::move(found->second.second);
    nodes_.erase(found);
    operand = family.is_left ? sum_of(std::move(operand), sibling) : sum_of(std::move(sibling), operand);
    node = family.parent;
  }
  const bool is_new = nodes_.emplace(node.begin, std::pair{node, std::move(operand)}).second;
  CADRE_CHECK(is_new, "two nodes begin at ", node.begin);
}

bool NodeSums::complete() const {
  return nodes_.size() == 1 && nodes_.begin()->second.first == Range{0, count_};
}

Operand NodeSums::take() {
  CADRE_CHECK(complete(), nodes_.size(), " nodes of ", count_, " leaves do not make a whole");
  Operand whole = std::move(nodes_.begin()->second.second);
  nodes_.clear();
  return whole;
}

std::vector<std::pair<Range, Operand>> NodeSums::take_nodes() {
  std::vector<std::pair<Range, Operand>> taken;
  for (auto& [begin, node] : nodes_) taken.push_back(std::move(node));
  nodes_.clear();
  return taken;
}

}  // namespace cadre::comm
