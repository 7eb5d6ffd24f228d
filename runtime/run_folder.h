// The folder that a run leaves (output_dir/): who may write in it, what state the run is in, and where things lie.
//
//   run.json       status and receipt        metrics.jsonl, ledger.jsonl, journal.jsonl
//   checkpoints/   see checkpoint_store.h    logs/
//   .lock          locked while a process works here; says which
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/clock.h"

namespace cadre::runtime {

enum class RunStatus { kRunning, kSucceeded, kFailed, kStopped };
std::string_view name_of(RunStatus status);

// What run.json holds.
struct RunRecord {
  RunStatus status = RunStatus::kRunning;
  std::string run_id = {};
  std::string started = {};  // the first start of the run
  std::string updated = {};  // the last writing of this record
  std::string reason = {};   // why it failed or stopped; empty otherwise
  std::uint64_t starts = 0;  // 1, and one more for each resume
  std::uint64_t max_steps = 0;
  std::string host = {};             // where the last start was, and
  std::int64_t pid = 0;              // its process
  boost::json::object receipt = {};  // configuration, seed, versions, hashes; the trainer's
};

// The process that holds a folder's lock.
struct RunHolder {
  std::int64_t pid = 0;
  std::string host = {};
};

// What is found where a run is to begin or is asked about. Nothing is changed, and a live run is not disturbed.
struct FolderState {
  bool exists = false;
  std::string foreign = {};              // an entry that no run leaves, where there is no run.json
  std::optional<RunRecord> record = {};  // run.json
  std::optional<RunHolder> holder = {};  // of the lock: the run is alive

  // A run that began and has not succeeded: training goes on from its last checkpoint.
  bool is_unfinished() const { return record && record->status != RunStatus::kSucceeded; }
  bool is_finished() const { return record && record->status == RunStatus::kSucceeded; }
  // "running", "succeeded", "failed", "stopped"; "interrupted" when run.json says running and nobody is there.
  std::string status() const;
};

// UserError when the path is not a folder, cannot be read, or its run.json is damaged.
FolderState look_at_run_folder(const std::filesystem::path& path);

enum class Opening { kNew, kResume, kOverwrite };

struct OpeningOptions {
  bool resume = true;      // resume_from_checkpoint is not "none"
  bool overwrite = false;  // overwrite_output_dir: begin anew, whatever state the run here is in
  std::chrono::milliseconds coordinator_limit{60'000};  // for that of a launcher that was killed to end
};

// What `train` does with a folder in this state, or the UserError that says what to do instead. Pure.
Opening decide_opening(const std::filesystem::path& path, const FolderState& state, const OpeningOptions& options);

// A run's folder, locked by this process for as long as the object lives. Used by one thread.
class RunFolder {
 public:
  // Makes or takes over the folder as decide_opening() says; on kOverwrite, what a run leaves is removed first and
  // other files stay. run.json says running on return. UserError: another process works here (its pid), foreign or
  // finished content, a path that cannot be written to.
  static RunFolder open(const std::filesystem::path& path, const OpeningOptions& options, UtcTime now);

  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  Opening opening() const { return opening_; }
  const RunRecord& record() const { return record_; }

  // Replaces run.json as a whole. RunError when the disk refuses; the old one is then still there.
  void write(RunRecord record, UtcTime now);

  // Puts back a run.json that was read before, with its own times.
  void put_back(RunRecord record);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path ledger() const { return path_ / "ledger.jsonl"; }
  std::filesystem::path journal() const { return path_ / "journal.jsonl"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path logs() const { return path_ / "logs"; }

 private:
  RunFolder(std::filesystem::path path, int lock);

  std::filesystem::path path_;
  int lock_;  // descriptor of .lock
  Opening opening_ = Opening::kNew;
  RunRecord record_;
};

// True for a name that a run's folder has at its root: what --overwrite_output_dir removes.
bool is_left_by_a_run(std::string_view name);

}  // namespace cadre::runtime
