// Inside a host first, then between hosts: the way of a chunk's nodes to its owner. Where the members of a host have
// nodes that make higher ones together, one of them gathers these and sends on what they make, so that fewer bytes pass
// between hosts; the additions are those of the tree all the same. Pure: every member finds the same routes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/micro_batches.h"

namespace cadre::comm {

// The highest nodes of the tree over [0, count) that `nodes`, none inside another, make together; ascending.
std::vector<runtime::Range> joined_nodes(std::vector<runtime::Range> nodes, std::uint32_t count);

class HostRoutes {
 public:
  // `nodes`: what each member contributes to the tree over [0, count). `hosts`: each member's, numbered from 0; empty:
  // all are on one.
  HostRoutes(std::span<const std::uint32_t> hosts, const std::vector<std::vector<runtime::Range>>& nodes,
             std::uint32_t count);

  // Where `member` sends its nodes of `chunk`: to its owner, or to the one that gathers them on its own host.
  std::uint32_t first_stop(std::uint32_t member, std::uint64_t chunk, std::uint32_t owner) const;
  // The same from the other side: the member to which what `host` has goes first, when `owner` is elsewhere. Only where
  // the host gathers.
  std::uint32_t gatherer(std::uint32_t host, std::uint64_t chunk) const;

  std::size_t host_count() const { return hosts_.size(); }
  std::uint32_t host_of(std::uint32_t member) const { return host_of_[member]; }
  // Whether what it has for other hosts is gathered first, and the nodes that are sent on then.
  bool gathers(std::uint32_t host) const { return !hosts_[host].joined.empty(); }
  const std::vector<runtime::Range>& joined(std::uint32_t host) const { return hosts_[host].joined; }

 private:
  struct Host {
    std::vector<std::uint32_t> members = {};
    std::vector<runtime::Range> joined = {};  // empty where nothing would be saved
  };
  std::vector<std::uint32_t> host_of_;
  std::vector<Host> hosts_;
};

}  // namespace cadre::comm
