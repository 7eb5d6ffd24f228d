#include "runtime/micro_batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

// Descends from `node` to the largest nodes inside `range`.
void collect(Range node, Range range, std::vector<Range>& nodes) {
  if (node.end <= range.begin || range.end <= node.begin) return;
  if (range.begin <= node.begin && node.end <= range.end) {
    nodes.push_back(node);
    return;
  }
  const std::uint32_t middle = node.begin + split_of(node.size());
  collect({node.begin, middle}, range, nodes);
  collect({middle, node.end}, range, nodes);
}

}  // namespace

std::vector<Range> whole_subtrees(Range range, std::uint32_t count) {
  CADRE_CHECK(range.begin <= range.end && range.end <= count, range.begin, " to ", range.end, " of ", count);
  std::vector<Range> nodes;
  if (!range.empty()) collect({0, count}, range, nodes);
  return nodes;
}

std::vector<Range> share_out(std::uint32_t count, std::size_t ranks) {
  CADRE_CHECK(ranks > 0, "no rank to share among");
  std::vector<Range> shares;
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto cut = [&](std::size_t part) { return static_cast<std::uint32_t>(std::uint64_t{count} * part / ranks); };
    shares.push_back({cut(r), cut(r + 1)});
  }
  return shares;
}

std::vector<Range> share_out(std::uint32_t count, std::span<const double> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  CADRE_CHECK(total > 0 && std::isfinite(total), "weights add up to ", total);
  std::vector<Range> shares;
  double before = 0;
  std::uint32_t begin = 0;
  std::size_t last = weights.size();
  while (weights[last - 1] <= 0) --last;
  for (std::size_t r = 0; r < weights.size(); ++r) {
    CADRE_CHECK(weights[r] >= 0, "a weight of ", weights[r]);
    before += weights[r];
    const double cut = std::round(static_cast<double>(count) * before / total);
    const std::uint32_t end = r + 1 >= last ? count : std::min(count, static_cast<std::uint32_t>(cut));
    shares.push_back({begin, std::max(begin, end)});
    begin = shares.back().end;
  }
  return shares;
}

std::vector<std::vector<Range>> deal_out(std::uint32_t count, std::size_t ranks) {
  CADRE_CHECK(ranks > 0, "no rank to deal to");
  std::vector<std::vector<Range>> hands(ranks);
  for (std::uint32_t m = 0; m < count; ++m) hands[m % ranks].push_back({m, m + 1});
  return hands;
}

std::vector<std::vector<Range>> even_shares(std::uint32_t count, const View& view, bool in_rounds) {
  std::vector<std::vector<Range>> parts;
  if (in_rounds) {
    parts = deal_out(count, view.size());
  } else {
    for (const Range& range : share_out(count, view.size())) parts.push_back({range});
  }
  const std::vector<std::uint32_t> order = by_host(view);
  std::vector<std::vector<Range>> shares(view.size());
  for (std::size_t n = 0; n < order.size(); ++n) shares[order[n]] = std::move(parts[n]);
  return shares;
}

}  // namespace cadre::runtime
