#include "runtime/snapshots.h"

#include <algorithm>

namespace cadre::runtime {

bool Snapshots::any_being_published() const {
  return std::any_of(under_way_.begin(), under_way_.end(),
                     [](const auto& entry) { return entry.second.missing.empty(); });
}

void Snapshots::order(Snapshot snapshot) {
  last_ = snapshot.step;
  under_way_.emplace(snapshot.step, std::move(snapshot));
}

bool Snapshots::waits_for(Rank rank, std::uint64_t step, const Stamp& stamp) const {
  const auto at = under_way_.find(step);
  return at != under_way_.end() && at->second.stamp == stamp && at->second.missing.count(rank) != 0;
}

const Snapshot* Snapshots::add(Rank rank, const ShardWritten& written) {
  if (!waits_for(rank, written.step, written.stamp)) return nullptr;
  const auto at = under_way_.find(written.step);
  at->second.missing.erase(rank);
  at->second.shards.push_back({written.file, written.bytes, written.sha256});
  if (!at->second.missing.empty()) return nullptr;
  // In whatever order they came in, the manifest is the same.
  std::sort(at->second.shards.begin(), at->second.shards.end(),
            [](const Shard& a, const Shard& b) { return a.file < b.file; });
  return &at->second;
}

const Snapshot* Snapshots::add(Rank rank, const ShardFailed& failed, const std::string& problem) {
  if (!waits_for(rank, failed.step, failed.stamp)) return nullptr;
  Snapshot& snapshot = under_way_.at(failed.step);
  snapshot.missing.erase(rank);
  if (snapshot.problem.empty()) snapshot.problem = problem;
  return snapshot.missing.empty() ? &snapshot : nullptr;
}

std::optional<Snapshot> Snapshots::published(std::uint64_t step) {
  std::optional<Snapshot> snapshot = failed(step);
  if (snapshot) published_.insert(step);
  return snapshot;
}

std::optional<Snapshot> Snapshots::failed(std::uint64_t step) {
  const auto at = under_way_.find(step);
  if (at == under_way_.end()) return std::nullopt;
  Snapshot snapshot = std::move(at->second);
  under_way_.erase(at);
  return snapshot;
}

std::vector<std::uint64_t> Snapshots::that_miss(std::optional<Rank> rank) const {
  std::vector<std::uint64_t> steps;
  for (const auto& [step, snapshot] : under_way_) {
    if (rank ? snapshot.missing.count(*rank) != 0 : !snapshot.missing.empty()) steps.push_back(step);
  }
  return steps;
}

void Snapshots::go_back(std::uint64_t step) {
  last_ = step;
  published_.erase(published_.upper_bound(step), published_.end());
}

std::vector<std::uint64_t> Snapshots::to_remove(std::uint64_t limit, std::set<std::uint64_t> kept) const {
  return checkpoints_to_remove(published_, static_cast<std::size_t>(limit), kept);
}

}  // namespace cadre::runtime
