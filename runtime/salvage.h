// What survives of an uncommitted step when its view ends: tree nodes that survivors hold are kept, the rest is shared
// out anew. A pure function of the reports.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/step_votes.h"

namespace cadre::runtime {

struct Kept {
  std::uint32_t member = 0;  // index in the new view
  LedgerEntry from = {};     // who computed it, and in which view; without samples
  MicroBatchResult result = {};
};

struct Salvage {
  std::vector<Share> shares;  // one a member of the new view; every micro-batch in exactly one range
  std::vector<Kept> kept;     // the results of `held`
};

// `reports` by the members of the new view. A node counts only where its member reports every leaf's result; of two
// that overlap the first counts.
Salvage salvage(std::uint64_t step, std::uint32_t micro_batches, const View& view, std::span<Report> reports);

// holders[c]: ranks that hold chunk c's state, whatever the placement wants.
using Residency = std::vector<std::vector<Rank>>;

Residency residency_of(const View& view, const Placement& placement);
void remove_holder(Residency& residency, Rank rank);
bool has_orphan(const Residency& residency);

}  // namespace cadre::runtime
