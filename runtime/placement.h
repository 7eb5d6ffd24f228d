// Which ranks are to hold which chunk: owner and backups, a pure function of the view and the number of chunks.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/members.h"

namespace cadre::runtime {

// holders[c]: indices into the view's members, the owner first, then the backups; min(copies, members) of them, all
// different, on different hosts where there are as many hosts, else in different islands. Members that are leaving
// count as if they were not there, unless all are.
struct Placement {
  std::vector<std::vector<std::uint32_t>> holders;

  std::uint32_t owner_of(std::uint64_t chunk) const { return holders.at(chunk).front(); }
  // Chunks of which `member` is the copy number `copy` (0: owner), ascending.
  std::vector<std::uint64_t> chunks_of(std::uint32_t member, std::size_t copy) const;
};

// Highest random weight (Thaler and Ravishankar 1998) with bounded loads: no member owns, or is the first backup of,
// more than its share rounded up, except where hosts of different sizes leave no such choice; when a member comes or
// goes few chunks move beside its own.
Placement place(const View& view, std::uint64_t chunks, std::size_t copies);

}  // namespace cadre::runtime
