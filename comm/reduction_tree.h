// The one order in which the gradients of a step's micro-batches are added, whatever rank computes them: a binary tree
// over their indices (runtime/micro_batches.h). Sums differ with their order; this one is fixed, so the result is a
// function of the micro-batches alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "runtime/micro_batches.h"

namespace cadre::comm {

// to[i] += from[i]: the left operand of the tree is `to`.
void add_in_place(std::span<float> to, std::span<const float> from);

// Adds the leaves of one node of the tree as they come, left to right, holding at most log2(leaves) + 1 partial sums.
class TreeSum {
 public:
  // Adds the next operand; all of one size. It is copied only where it begins a subtree.
  void add(std::span<const float> operand);
  std::size_t count() const { return count_; }
  // The sum of all operands added (count() > 0); the object is empty afterwards.
  std::vector<float> finish();

  // The last operand, of `size` elements, piece by piece as it becomes known: each element once, in any order. Returns
  // the piece's place in the sum, which is final and stays there until the next add() or finish_piece().
  std::span<const float> finish_piece(std::size_t size, std::size_t begin, std::span<const float> operand);
  // After the last piece.
  std::vector<float> finish_pieces();

  // The subtrees that are whole, left to right, each with the number of its operands; none once finish_piece() has
  // begun to add to them. The object is empty afterwards.
  std::vector<std::pair<std::size_t, std::vector<float>>> take_partials();

  // Forgets what was added.
  void clear();

 private:
  struct Partial {
    std::size_t operands;
    std::vector<float> sum;
  };
  std::vector<Partial> partials_;  // sizes are falling powers of two
  std::vector<std::vector<float>> spare_;
  std::size_t count_ = 0;
  bool is_one_leaf_ = false;  // finish_piece() began with nothing to add to
  bool in_pieces_ = false;    // finish_piece() has begun
};

// A piece of a sum: either a look at memory that somebody else keeps, or memory of its own.
struct Operand {
  std::span<const float> values = {};
  std::vector<float> owned = {};

  static Operand of(std::vector<float> values);
  static Operand look(std::span<const float> values) { return {values, {}}; }
};

// Nodes of the tree over [0, count) as they come, in any order, for one piece of the gradient: two siblings become
// their parent at once.
class NodeSums {
 public:
  explicit NodeSums(std::uint32_t count) : count_(count) {}
  void add(runtime::Range node, Operand operand);
  bool complete() const;
  // The sum of everything; complete() must hold. A look only where nothing had to be added.
  Operand take();
  // What there is, complete or not: the highest nodes that were made, ascending.
  std::vector<std::pair<runtime::Range, Operand>> take_nodes();

 private:
  std::uint32_t count_;
  std::map<std::uint32_t, std::pair<runtime::Range, Operand>> nodes_;  // by begin
};

}  // namespace cadre::comm
