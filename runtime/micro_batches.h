// Ranges of a step's micro-batches, and the fixed binary tree over their indices in which gradients are added: a range
// splits at the largest power of two below its size. Pure functions; what is added lives in comm/.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/members.h"

namespace cadre::runtime {

// Micro-batches [begin, end) of one step.
struct Range {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  std::uint32_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  bool operator==(const Range&) const = default;
};

// Where a range of `size` > 1 micro-batches splits: the number that go left.
constexpr std::uint32_t split_of(std::uint32_t size) {
  return std::bit_floor(size - 1);
}

// The largest nodes of the tree over [0, count) that lie inside `range`, ascending: at most 2·log2(count).
std::vector<Range> whole_subtrees(Range range, std::uint32_t count);

// Contiguous ranges of [0, count), one a rank, as equal as can be: sizes differ by at most one.
std::vector<Range> share_out(std::uint32_t count, std::size_t ranks);

// The same in proportion to `weights` (relative speeds, at least one above zero); a rank of weight 0 gets nothing.
std::vector<Range> share_out(std::uint32_t count, std::span<const double> weights);

// One micro-batch at a time, in turn: rank r gets r, r + ranks, …
std::vector<std::vector<Range>> deal_out(std::uint32_t count, std::size_t ranks);

// By the position of a view's members: those of a host, neighbours in by_host(), have neighbouring parts, so that what
// their micro-batches give can be added up within the host. Without rounds share_out(), in rounds deal_out().
std::vector<std::vector<Range>> even_shares(std::uint32_t count, const View& view, bool in_rounds);

}  // namespace cadre::runtime
