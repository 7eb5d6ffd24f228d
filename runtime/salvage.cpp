#include "runtime/salvage.h"

#include <algorithm>
#include <unordered_map>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

bool is_node(Range range, std::uint32_t micro_batches) {
  if (range.begin >= range.end || range.end > micro_batches) return false;
  return whole_subtrees(range, micro_batches).size() == 1;
}

// `count` leaves of which those in `taken` are spoken for: the others, in equal parts, one a member.
void share_out_rest(const std::vector<bool>& taken, std::vector<Share>& shares) {
  std::vector<std::uint32_t> rest;
  for (std::uint32_t leaf = 0; leaf < taken.size(); ++leaf) {
    if (!taken[leaf]) rest.push_back(leaf);
  }
  const std::vector<Range> parts = share_out(static_cast<std::uint32_t>(rest.size()), shares.size());
  for (std::size_t member = 0; member < shares.size(); ++member) {
    std::vector<Range>& compute = shares[member].compute;
    for (std::uint32_t r = parts[member].begin; r < parts[member].end; ++r) {
      if (!compute.empty() && compute.back().end == rest[r]) {
        ++compute.back().end;
      } else {
        compute.push_back({rest[r], rest[r] + 1});
      }
    }
  }
}

}  // namespace

Salvage salvage(std::uint64_t step, std::uint32_t micro_batches, const View& view, std::span<Report> reports) {
  CADRE_CHECK(reports.size() == view.size(), reports.size(), " reports of ", view.size(), " members");
  Salvage result{std::vector<Share>(view.size()), {}};
  std::vector<bool> taken(micro_batches, false);
  std::unordered_map<std::uint32_t, MicroBatchResult*> leaves;
  for (std::uint32_t member = 0; member < reports.size(); ++member) {
    Report& report = reports[member];
    if (report.step != step) continue;
    leaves.clear();
    for (MicroBatchResult& leaf : report.results) leaves.emplace(leaf.index, &leaf);
    for (const Range node : report.held) {
      if (!is_node(node, micro_batches)) continue;
      bool whole = true;
      for (std::uint32_t leaf = node.begin; whole && leaf < node.end; ++leaf) {
        whole = !taken[leaf] && leaves.count(leaf) != 0;
      }
      if (!whole) continue;
      result.shares[member].held.push_back(node);
      for (std::uint32_t leaf = node.begin; leaf < node.end; ++leaf) {
        taken[leaf] = true;
        MicroBatchResult& kept = *leaves.at(leaf);
        result.kept.push_back({member, {leaf, view.members[member].rank, kept.view, {}}, std::move(kept)});
      }
    }
  }
  share_out_rest(taken, result.shares);
  return result;
}

Residency residency_of(const View& view, const Placement& placement) {
  Residency residency(placement.holders.size());
  for (std::size_t chunk = 0; chunk < residency.size(); ++chunk) {
    for (const std::uint32_t member : placement.holders[chunk]) residency[chunk].push_back(view.members[member].rank);
  }
  return residency;
}

void remove_holder(Residency& residency, Rank rank) {
  for (std::vector<Rank>& holders : residency) std::erase(holders, rank);
}

bool has_orphan(const Residency& residency) {
  return std::any_of(residency.begin(), residency.end(), [](const auto& holders) { return holders.empty(); });
}

}  // namespace cadre::runtime
