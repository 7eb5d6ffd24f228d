#include "comm/host_routes.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"

namespace cadre::comm {
namespace {

using runtime::Range;

// What `inside`, ascending nodes within `node`, make of it. True: the whole of it, which is then the last of `joined`.
bool join(Range node, std::span<const Range> inside, std::vector<Range>& joined) {
  if (inside.empty()) return false;
  if (inside.front() == node) {
    CADRE_CHECK(inside.size() == 1, "nodes inside [", node.begin, ", ", node.end, ")");
    joined.push_back(node);
    return true;
  }
  CADRE_CHECK(node.size() > 1 && inside.front().begin >= node.begin && inside.back().end <= node.end, "[",
              inside.front().begin, ", ", inside.back().end, ") is not made of nodes inside [", node.begin, ", ",
              node.end, ")");
  const std::uint32_t middle = node.begin + runtime::split_of(node.size());
  const auto right =
      std::partition_point(inside.begin(), inside.end(), [middle](const Range& range) { return range.begin < middle; });
  const bool has_left = join({node.begin, middle}, {inside.begin(), right}, joined);
  const bool has_right = join({middle, node.end}, {right, inside.end()}, joined);
  if (!has_left || !has_right) return false;
  joined.resize(joined.size() - 2);
  joined.push_back(node);
  return true;
}

}  // namespace

std::vector<Range> joined_nodes(std::vector<Range> nodes, std::uint32_t count) {
  std::ranges::sort(nodes, {}, &Range::begin);
  std::vector<Range> joined;
  join({0, count}, nodes, joined);
  return joined;
}

HostRoutes::HostRoutes(std::span<const std::uint32_t> hosts, const std::vector<std::vector<Range>>& nodes,
                       std::uint32_t count)
    : host_of_(hosts.begin(), hosts.end()) {
  host_of_.resize(nodes.size());
  CADRE_CHECK(hosts.empty() || hosts.size() == nodes.size(), "hosts of ", hosts.size(), " members, nodes of ",
              nodes.size());
  for (std::uint32_t member = 0; member < nodes.size(); ++member) {
    if (host_of_[member] >= hosts_.size()) hosts_.resize(host_of_[member] + 1);
    hosts_[host_of_[member]].members.push_back(member);
  }
  if (hosts_.size() < 2) return;
  for (Host& host : hosts_) {
    std::vector<Range> all;
    for (const std::uint32_t member : host.members) all.insert(all.end(), nodes[member].begin(), nodes[member].end());
    std::vector<Range> joined = joined_nodes(all, count);
    if (joined.size() < all.size()) host.joined = std::move(joined);
  }
}

std::uint32_t HostRoutes::gatherer(std::uint32_t host, std::uint64_t chunk) const {
  const std::vector<std::uint32_t>& members = hosts_[host].members;
  return members[chunk % members.size()];
}

std::uint32_t HostRoutes::first_stop(std::uint32_t member, std::uint64_t chunk, std::uint32_t owner) const {
  const std::uint32_t host = host_of_[member];
  return host == host_of_[owner] || !gathers(host) ? owner : gatherer(host, chunk);
}

}  // namespace cadre::comm
