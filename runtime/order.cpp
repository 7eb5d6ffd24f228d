#include "runtime/order.h"

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

// What `ranges` make: each leaf by itself in rounds, else the largest nodes inside them.
void append_nodes(const std::vector<Range>& ranges, std::uint32_t micro_batches, bool in_rounds,
                  std::vector<Range>& nodes) {
  for (const Range& range : ranges) {
    if (in_rounds) {
      for (std::uint32_t m = range.begin; m < range.end; ++m) nodes.push_back({m, m + 1});
    } else {
      const std::vector<Range> whole = whole_subtrees(range, micro_batches);
      nodes.insert(nodes.end(), whole.begin(), whole.end());
    }
  }
}

}  // namespace

std::vector<std::vector<Range>> nodes_of(const Order& order, std::uint32_t micro_batches, const View& view,
                                         bool in_rounds) {
  std::vector<std::vector<Range>> nodes(view.size());
  if (order.shares.empty()) {
    const std::vector<std::vector<Range>> ranges = even_shares(micro_batches, view, in_rounds);
    for (std::size_t m = 0; m < view.size(); ++m) append_nodes(ranges[m], micro_batches, in_rounds, nodes[m]);
    return nodes;
  }
  CADRE_CHECK(order.shares.size() == view.size(), order.shares.size(), " shares for ", view.size(), " members");
  for (std::size_t m = 0; m < view.size(); ++m) {
    nodes[m] = order.shares[m].held;
    append_nodes(order.shares[m].compute, micro_batches, in_rounds, nodes[m]);
  }
  return nodes;
}

}  // namespace cadre::runtime
