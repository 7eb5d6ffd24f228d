// Checkpoints on their way to the disk, and those that are there: which shards are missing, which one a run can go back
// to, which ones go.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/run_course.h"

namespace cadre::runtime {

// One that the ranks write or the shell publishes.
struct Snapshot {
  std::uint64_t step = 0;
  Stamp stamp = {};  // when it was ordered
  RunCourse course = {};
  std::string reason = {};
  std::set<Rank> missing = {};  // ranks whose shard is not there
  std::vector<Shard> shards = {};
  std::int64_t best_before = -1;  // the step that was best until this one
  std::string problem = {};       // of the first shard that could not be written
};

class Snapshots {
 public:
  // `published`: steps of the checkpoints that are there; `start`: the step that the run begins from.
  Snapshots(std::set<std::uint64_t> published, std::uint64_t start) : published_(std::move(published)), last_(start) {}

  // Whether one of this step was ordered, or is there.
  bool has(std::uint64_t step) const { return last_ == step || under_way_.count(step) != 0; }
  bool is_published(std::uint64_t step) const { return published_.count(step) != 0; }
  bool none_under_way() const { return under_way_.empty(); }
  bool is_under_way(std::uint64_t step) const { return under_way_.count(step) != 0; }
  bool any_being_published() const;

  void order(Snapshot snapshot);

  // The snapshot of which every rank has now told: to be published, or given up where it has a problem. It stays under
  // way. Null: not yet, or not wanted.
  const Snapshot* add(Rank rank, const ShardWritten& written);
  const Snapshot* add(Rank rank, const ShardFailed& failed, const std::string& problem);

  // `rank` is to write a shard of it, as it was ordered under this stamp, and has not yet.
  bool waits_for(Rank rank, std::uint64_t step, const Stamp& stamp) const;

  // It is there. Returns it.
  std::optional<Snapshot> published(std::uint64_t step);
  // It is not, and will not be.
  std::optional<Snapshot> failed(std::uint64_t step);
  // Those that cannot be completed without `rank`, or at all (no rank); not those that are being published.
  std::vector<std::uint64_t> that_miss(std::optional<Rank> rank) const;
  // A run went back to `step`: later ones may be ordered again, and were damaged where they are there.
  void go_back(std::uint64_t step);

  // Which of those that are there go, `newest` just having been published. `kept` stays besides.
  std::vector<std::uint64_t> to_remove(std::uint64_t limit, std::set<std::uint64_t> kept) const;
  void removed(std::uint64_t step) { published_.erase(step); }

 private:
  std::set<std::uint64_t> published_;
  std::map<std::uint64_t, Snapshot> under_way_;
  std::uint64_t last_;  // that was ordered or loaded
};

}  // namespace cadre::runtime
