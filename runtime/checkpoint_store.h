// The checkpoints of a run: complete and verified, or not there.
//
//   checkpoints/step-00000100/manifest.json     written last; names every shard with its size and sha256
//   checkpoints/step-00000100/<shards>          files that the trainer writes; the store knows no tensors
//   checkpoints/.staging-step-00000100.0.3/     one that is being written, by all ranks of generation 0, view 3;
//                                               removed at the next start
//
// A checkpoint appears by the rename of its staging folder, after every shard has been read back from the disk. The
// run's folder is locked, so that there is one writer; readers may come at any time.
#pragma once

#include <boost/json/object.hpp>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/clock.h"
#include "runtime/members.h"

namespace cadre::runtime {

inline constexpr const char* kManifestName = "manifest.json";

struct Shard {
  std::string file = {};  // a plain file name
  std::uint64_t bytes = 0;
  std::string sha256 = {};

  bool operator==(const Shard&) const = default;
};

// What a checkpoint is of. `data_position` and `state` are the trainer's: the store keeps them as they are.
struct Manifest {
  std::string run_id = {};
  std::uint64_t step = 0;
  std::uint64_t generation = 0;
  std::uint64_t view = 0;
  boost::json::object data_position = {};
  boost::json::object state = {};
  // Filled in by the store.
  std::string created = {};
  std::vector<Shard> shards = {};
};

// Where the ranks of a view write the shards of the checkpoint of `step`, until it is published. What another view has
// begun of it and given up is removed when there is time: it is elsewhere.
std::filesystem::path staging_folder(const std::filesystem::path& checkpoints, std::uint64_t step, const Stamp& stamp);
// Whether such a folder has this name.
bool is_staging_folder(std::string_view name);

// A checkpoint that is being written. Its folder is removed when the object goes before publish() has returned.
class StagedCheckpoint {
 public:
  StagedCheckpoint(StagedCheckpoint&& other) noexcept;
  StagedCheckpoint& operator=(StagedCheckpoint&&) = delete;
  ~StagedCheckpoint();

  // Where the caller writes the shard of this name. A name that is not a plain one is a failed check.
  std::filesystem::path shard_path(const std::string& file) const;

  // Declares the shard written: its size and hash go into the manifest. RunError when it cannot be read, or when its
  // hash is not `expected_sha256`, which a caller gives that knows what it wrote.
  void add_shard(const std::string& file, std::optional<std::string> expected_sha256 = std::nullopt);

  // Flushes every shard, reads it back and compares, removes what is no shard of it, writes the manifest and makes the
  // checkpoint appear, in place of an older one of the same step. Returns its folder. RunError when the disk refuses or
  // gives back other bytes; the checkpoints that were there are then as they were. `manifest.step` must be the step of
  // begin().
  std::filesystem::path publish(Manifest manifest, UtcTime now);

 private:
  friend class CheckpointStore;
  enum class Staging { kEmptied, kAsItIs };
  StagedCheckpoint(std::filesystem::path parent, std::uint64_t step, const Stamp& stamp, Staging staging);

  std::filesystem::path parent_;
  std::filesystem::path folder_;  // empty once published or moved from
  std::uint64_t step_;
  std::vector<Shard> shards_;
};

struct CheckpointEntry {
  std::uint64_t step = 0;
  std::filesystem::path folder;
  std::string problem;  // empty: the manifest is whole and every shard has its size; hashes were not computed
};

struct LoadableCheckpoint {
  std::filesystem::path folder;
  Manifest manifest;
};

class CheckpointStore {
 public:
  // `folder` is a run's checkpoints/; it is made when the first checkpoint is begun.
  explicit CheckpointStore(std::filesystem::path folder);

  // Removes what a process that died has left: staging folders, half-removed checkpoints. Ranks may still be writing
  // into the former. Call it once at a start, with the run's lock held. RunError when the disk refuses.
  void clean_up();

  // RunError when the disk refuses.
  StagedCheckpoint begin(std::uint64_t step);
  // The checkpoint whose shards others have written into its staging folder.
  StagedCheckpoint gather(std::uint64_t step, const Stamp& stamp);

  // Newest first. What has not the name of a checkpoint is not listed.
  std::vector<CheckpointEntry> list() const;

  struct Search {
    std::optional<LoadableCheckpoint> found;
    std::vector<CheckpointEntry> skipped;  // newer ones, each with its problem
  };
  // The newest one whose every hash holds, of `at_most_step` or before.
  Search newest_valid(std::optional<std::uint64_t> at_most_step = std::nullopt) const;

  // RunError when the disk refuses; a checkpoint is removed whole or stays whole.
  void remove(std::uint64_t step);

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

// "step-00000100"
std::string checkpoint_name(std::uint64_t step);
// The step of a name that checkpoint_name() makes; nothing for any other name.
std::optional<std::uint64_t> step_of_checkpoint(std::string_view name);

// The manifest of one checkpoint folder. UserError: missing, larger than 16 MB, changed since it was written, not of a
// format this program knows.
Manifest read_manifest(const std::filesystem::path& checkpoint);

// Why the checkpoint cannot be used, with the name of the file; empty when every size and hash holds. Reads all of it.
std::string verify_checkpoint(const std::filesystem::path& checkpoint);

// Which of `steps` to remove so that the newest `limit` remain, and those of `kept` besides (the best one). Without a
// limit, or with 0: none. Ascending.
std::vector<std::uint64_t> checkpoints_to_remove(const std::set<std::uint64_t>& steps, std::size_t limit,
                                                 const std::set<std::uint64_t>& kept);

}  // namespace cadre::runtime
