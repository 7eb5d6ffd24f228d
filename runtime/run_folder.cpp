#include "runtime/run_folder.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/json_fields.h"
#include "runtime/json_print.h"
#include "runtime/run_lock.h"
#include "runtime/term_journal.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecordName = "run.json";
constexpr std::uint64_t kMaxRecordBytes = 64 << 20;
constexpr std::array kStatuses{RunStatus::kRunning, RunStatus::kSucceeded, RunStatus::kFailed, RunStatus::kStopped};

std::uint64_t count_or_zero(const boost::json::object& object, const char* name) {
  const boost::json::value* value = object.if_contains(name);
  boost::json::error_code error;
  const std::uint64_t count = value ? value->to_number<std::uint64_t>(error) : 0;
  return error ? 0 : count;
}

std::string print(const RunRecord& record) {
  return json_pretty(boost::json::object{{"status", name_of(record.status)},
                                         {"run_id", record.run_id},
                                         {"started", record.started},
                                         {"updated", record.updated},
                                         {"reason", record.reason},
                                         {"starts", record.starts},
                                         {"max_steps", record.max_steps},
                                         {"host", record.host},
                                         {"pid", record.pid},
                                         {"receipt", record.receipt}}) +
         "\n";
}

RunRecord parse(const std::string& text) {
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error) throw UserError(say("not JSON: ", error.message()));
  if (!value.is_object()) throw UserError("expected an object");
  const boost::json::object& object = value.get_object();
  RunRecord record{.run_id = text_in(object, "run_id"),
                   .started = text_in(object, "started"),
                   .updated = text_in(object, "updated"),
                   .reason = text_in(object, "reason"),
                   .starts = count_or_zero(object, "starts"),
                   .max_steps = count_or_zero(object, "max_steps"),
                   .host = text_in(object, "host"),
                   .pid = static_cast<std::int64_t>(count_or_zero(object, "pid"))};
  const std::string status = text_in(object, "status");
  const auto found =
      std::find_if(kStatuses.begin(), kStatuses.end(), [&](RunStatus one) { return name_of(one) == status; });
  if (found == kStatuses.end()) {
    throw UserError(say("expected a \"status\" of running, succeeded, failed or stopped, found \"", status, "\""));
  }
  record.status = *found;
  if (const auto* receipt = object.if_contains("receipt"); receipt && receipt->is_object()) {
    record.receipt = receipt->get_object();
  }
  return record;
}

// What write_file_atomically() leaves when its process dies in the middle.
bool is_temporary(std::string_view name) {
  return name.starts_with(".cadre-") && name.ends_with(".tmp");
}

// What may lie in a folder before its run.json does: the lock, and a run.json that was being written.
bool comes_before_the_record(std::string_view name) {
  return name == ".lock" || is_temporary(name);
}

// Unique without asking anybody: the time, so that identities sort, and 32 random bits.
std::string new_run_id(UtcTime now) {
  std::string id = iso_time(now).substr(0, 19);
  std::erase_if(id, [](char c) { return c == '-' || c == ':'; });
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device random;
  id += '-';
  for (unsigned bits = random(), digit = 0; digit < 8; ++digit, bits >>= 4) id += kDigits[bits % 16];
  return id;
}

// One whose launcher was killed still ends its run, with a checkpoint.
void wait_for_coordinator(const fs::path& path, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (is_coordinator_alive(path)) {
    if (std::chrono::steady_clock::now() > end) {
      throw UserError(say(path.string(), ": the coordinator of an earlier start still works in this folder; ",
                          "wait for it, or choose another output_dir"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

template <typename Predicate>
void remove_entries(const fs::path& path, Predicate predicate) {
  std::vector<fs::path> chosen;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    if (predicate(entry.path().filename().string())) chosen.push_back(entry.path());
  }
  for (const fs::path& one : chosen) fs::remove_all(one);
}

void remove_what_a_run_left(const fs::path& path) {
  remove_entries(path, [](const std::string& name) { return is_left_by_a_run(name) && name != kRecordName; });
  // Last, since without it what is still there would look like somebody else's.
  fs::remove(path / kRecordName);
}

}  // namespace

std::string_view name_of(RunStatus status) {
  switch (status) {
    case RunStatus::kRunning:
      return "running";
    case RunStatus::kSucceeded:
      return "succeeded";
    case RunStatus::kFailed:
      return "failed";
    case RunStatus::kStopped:
      return "stopped";
  }
  return "unknown";
}

bool is_left_by_a_run(std::string_view name) {
  constexpr std::array<std::string_view, 24> kNames{"run.json",
                                                    ".requests",
                                                    "hosts",
                                                    "metrics.jsonl",
                                                    "ledger.jsonl",
                                                    "journal.jsonl",
                                                    "checkpoints",
                                                    "prepared",
                                                    "logs",
                                                    "trace",
                                                    "adapter_config.json",
                                                    "adapter_model.safetensors",
                                                    "config.json",
                                                    "generation_config.json",
                                                    "tokenizer.json",
                                                    "tokenizer_config.json",
                                                    "vocab.json",
                                                    "merges.txt",
                                                    "tokenizer.model",
                                                    "special_tokens_map.json",
                                                    "added_tokens.json",
                                                    "chat_template.jinja",
                                                    "chat_template.json",
                                                    "additional_chat_templates"};
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  if (name.starts_with("journal.") && name.ends_with(".jsonl")) return true;  // one a term
  const bool is_model = name.starts_with("model.safetensors") || name.starts_with("model-");
  return is_model && (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
}

std::string FolderState::status() const {
  if (!record) return holder ? "starting" : "absent";
  if (record->status == RunStatus::kRunning && !holder) return "interrupted";
  return std::string(name_of(record->status));
}

FolderState look_at_run_folder(const fs::path& path) {
  FolderState state;
  try {
    state.exists = fs::exists(path);
    if (!state.exists) return state;
    if (!fs::is_directory(path)) throw UserError(say(path.string(), ": expected a folder, found a file"));
    bool has_record = false;
    for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
      const std::string name = entry.path().filename().string();
      if (name == kRecordName) has_record = true;
      if (state.foreign.empty() && !comes_before_the_record(name)) state.foreign = name;
    }
    // The holder is asked first: a run that ends in between leaves a record that says so.
    state.holder = holder_of_run_lock(path);
    if (has_record) {
      state.foreign.clear();
      try {
        state.record = parse(read_file(path / kRecordName, kMaxRecordBytes));
      } catch (const UserError& error) {
        throw UserError(say((path / kRecordName).string(), ": ", error.what()));
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw UserError(say(path.string(), ": cannot be read: ", error.code().message()));
  }
  return state;
}

Opening decide_opening(const fs::path& path, const FolderState& state, const OpeningOptions& options) {
  if (!state.foreign.empty()) {
    throw UserError(say(path.string(), ": expected an empty folder or a run's, found \"", state.foreign,
                        "\" and no run.json; choose another output_dir (--overwrite_output_dir removes only runs)"));
  }
  if (!state.record) return Opening::kNew;
  if (options.overwrite) return Opening::kOverwrite;
  if (state.is_finished()) {
    throw UserError(say(path.string(), ": holds a finished run; choose another output_dir, or give ",
                        "--overwrite_output_dir to remove it and begin anew"));
  }
  if (options.resume) return Opening::kResume;
  throw UserError(say(path.string(), ": holds an unfinished run (", state.status(), "); leave out ",
                      "resume_from_checkpoint: none to go on with it, or give --overwrite_output_dir to begin anew"));
}

RunFolder::RunFolder(fs::path path, int lock) : path_(std::move(path)), lock_(lock) {}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      opening_(other.opening_),
      record_(std::move(other.record_)) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

RunFolder RunFolder::open(const fs::path& path, const OpeningOptions& options, UtcTime now) {
  // Once before anything is touched, so that a folder that is refused stays as it was, and again under the lock, which
  // says more of a run that is alive.
  const FolderState before = look_at_run_folder(path);
  if (!before.holder) decide_opening(path, before, options);
  std::error_code error;
  fs::create_directories(path, error);
  if (error) {
    throw UserError(
        say(path.string(), ": output_dir cannot be made: ", error.message(), "; choose another output_dir"));
  }
  RunFolder folder(path, take_run_lock(path));
  wait_for_coordinator(path, options.coordinator_limit);
  const FolderState state = look_at_run_folder(path);
  folder.opening_ = decide_opening(path, state, options);
  RunRecord record;
  if (folder.opening_ == Opening::kResume) {
    record = *state.record;
  } else {
    record.run_id = new_run_id(now);
    record.started = iso_time(now);
  }
  record.status = RunStatus::kRunning;
  record.reason.clear();
  ++record.starts;
  const RunHolder self = this_process();
  record.host = self.host;
  record.pid = self.pid;
  try {
    remove_entries(path, is_temporary);
    if (folder.opening_ == Opening::kOverwrite) remove_what_a_run_left(path);
    folder.write(std::move(record), now);
    fs::create_directories(folder.checkpoints());
    fs::create_directories(folder.logs());
  } catch (const fs::filesystem_error& failure) {
    throw UserError(say(path.string(), ": output_dir cannot be written to: ", failure.code().message()));
  } catch (const RunError& failure) {
    throw UserError(failure.what());
  }
  return folder;
}

void RunFolder::write(RunRecord record, UtcTime now) {
  record.updated = iso_time(now);
  put_back(std::move(record));
}

void RunFolder::put_back(RunRecord record) {
  write_file_atomically(path_ / kRecordName, print(record));
  record_ = std::move(record);
}

}  // namespace cadre::runtime
