// Nodes of a step's tree as members contribute them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "runtime/micro_batches.h"

namespace cadre::comm {

using Nodes = std::vector<std::vector<runtime::Range>>;  // [member]

// What ranks contribute when nothing has happened: fewer micro-batches than ranks leave some without.
inline Nodes even_shares(std::uint32_t micro_batches, std::size_t members) {
  Nodes nodes;
  for (const runtime::Range& share : runtime::share_out(micro_batches, members)) {
    nodes.push_back(runtime::whole_subtrees(share, micro_batches));
  }
  return nodes;
}

// What they contribute after view changes: nodes of any size, held by anybody, in any order.
inline Nodes scattered(std::uint32_t micro_batches, std::size_t members, std::mt19937& generator) {
  Nodes nodes(members);
  std::vector<runtime::Range> left = {{0, micro_batches}};
  while (!left.empty()) {
    const runtime::Range node = left.back();
    left.pop_back();
    if (node.size() > 1 && generator() % 3 != 0) {
      const std::uint32_t middle = node.begin + runtime::split_of(node.size());
      left.push_back({node.begin, middle});
      left.push_back({middle, node.end});
    } else {
      nodes[generator() % members].push_back(node);
    }
  }
  for (auto& of_member : nodes) std::shuffle(of_member.begin(), of_member.end(), generator);
  return nodes;
}

}  // namespace cadre::comm
