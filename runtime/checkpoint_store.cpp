#include "runtime/checkpoint_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/manifest.h"
#include "runtime/sha256.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxManifestBytes = 16 << 20;
constexpr std::string_view kStagingPrefix = ".staging-";    // being written
constexpr std::string_view kReplacedPrefix = ".replaced-";  // makes way for a new one of the same step
constexpr std::string_view kRemovedPrefix = ".removed-";    // being removed

fs::path marked(const fs::path& parent, std::string_view prefix, std::uint64_t step) {
  return parent / (std::string(prefix) + checkpoint_name(step));
}

std::uint64_t number_in(std::string_view digits) {
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// Whole, or not at all: it goes under another name. Others may be putting files into it, and find it no more, but for
// those who have just done so.
void remove_renamed(const fs::path& folder, const fs::path& renamed) {
  constexpr int kTries = 100;
  fs::remove_all(renamed);
  fs::rename(folder, renamed);
  for (int tries = 1;; ++tries) {
    std::error_code error;
    fs::remove_all(renamed, error);
    if (!error) return;
    if (error != std::errc::directory_not_empty || tries == kTries) {
      throw fs::filesystem_error("cannot remove", renamed, error);
    }
  }
}

// What the standard library's file functions throw, as ours.
template <typename Do>
auto on_disk(const fs::path& path, const char* what, Do action) {
  try {
    return action();
  } catch (const fs::filesystem_error& error) {
    throw RunError(say(path.string(), ": cannot ", what, ": ", error.code().message()));
  }
}

// To the disk, and out of the page cache, so that the next reading shows what the disk holds.
void flush(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool done = file >= 0 && ::fsync(file) == 0;
  const std::string why = std::strerror(errno);
  if (done) ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  if (file >= 0) ::close(file);
  if (!done) throw RunError(say(path.string(), ": cannot be flushed to the disk: ", why));
}

// Why the file is not what the shard says; empty when it is.
std::string problem_with_size(const fs::path& folder, const Shard& shard) {
  std::error_code error;
  const fs::path path = folder / shard.file;
  if (!fs::is_regular_file(path, error)) return say(shard.file, " is missing");
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) return say(shard.file, " cannot be read: ", error.message());
  if (bytes != shard.bytes) return say(shard.file, " has ", bytes, " bytes, the manifest says ", shard.bytes);
  return "";
}

std::string problem_with_bytes(const fs::path& folder, const Shard& shard) {
  std::string problem = problem_with_size(folder, shard);
  if (!problem.empty()) return problem;
  try {
    const std::string hash = sha256_of_file(folder / shard.file);
    if (hash == shard.sha256) return "";
    return say(shard.file, " has the sha256 ", hash, ", the manifest says ", shard.sha256);
  } catch (const UserError& error) {
    return error.what();
  }
}

// The manifest, or why the checkpoint cannot be used.
std::pair<Manifest, std::string> examine(const fs::path& checkpoint,
                                         std::string (*problem_with)(const fs::path&, const Shard&)) {
  std::pair<Manifest, std::string> result;
  try {
    result.first = read_manifest(checkpoint);
    for (const Shard& shard : result.first.shards) {
      result.second = problem_with(checkpoint, shard);
      if (!result.second.empty()) break;
    }
  } catch (const UserError& error) {
    result.second = error.what();
  }
  return result;
}

}  // namespace

std::string checkpoint_name(std::uint64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08llu", static_cast<unsigned long long>(step));
  return name;
}

std::optional<std::uint64_t> step_of_checkpoint(std::string_view name) {
  constexpr std::string_view kPrefix = "step-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::uint64_t step = 0;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  // Only what checkpoint_name() makes: no sign, no other number of zeros.
  if (error != std::errc() || checkpoint_name(step) != name) return std::nullopt;
  return step;
}

Manifest read_manifest(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifestName;
  const std::string text = read_file(path, kMaxManifestBytes);
  Manifest manifest;
  try {
    manifest = parse_manifest(text);
  } catch (const UserError& error) {
    throw UserError(say(path.string(), ": ", error.what()));
  }
  const auto named = step_of_checkpoint(checkpoint.filename().string());
  if (named && *named != manifest.step) {
    throw UserError(say(path.string(), ": it is of step ", manifest.step, ", its folder of step ", *named));
  }
  return manifest;
}

std::string verify_checkpoint(const fs::path& checkpoint) {
  return examine(checkpoint, problem_with_bytes).second;
}

std::vector<std::uint64_t> checkpoints_to_remove(const std::set<std::uint64_t>& steps, std::size_t limit,
                                                 const std::set<std::uint64_t>& kept) {
  std::vector<std::uint64_t> removed;
  if (limit == 0 || steps.size() <= limit) return removed;
  std::copy_if(steps.begin(), std::prev(steps.end(), static_cast<std::ptrdiff_t>(limit)), std::back_inserter(removed),
               [&](std::uint64_t step) { return !kept.contains(step); });
  return removed;
}

fs::path staging_folder(const fs::path& checkpoints, std::uint64_t step, const Stamp& stamp) {
  return marked(checkpoints, kStagingPrefix, step) += say('.', stamp.generation, '.', stamp.view);
}

bool is_staging_folder(std::string_view name) {
  if (!name.starts_with(kStagingPrefix)) return false;
  const std::size_t begin = kStagingPrefix.size(), generation = name.find('.', begin), view = name.rfind('.');
  if (generation == name.npos || view == generation) return false;
  const auto step = step_of_checkpoint(name.substr(begin, generation - begin));
  const Stamp stamp{.generation = number_in(name.substr(generation + 1, view - generation - 1)),
                    .view = number_in(name.substr(view + 1))};
  return step && staging_folder({}, *step, stamp) == name;
}

StagedCheckpoint::StagedCheckpoint(fs::path parent, std::uint64_t step, const Stamp& stamp, Staging staging)
    : parent_(std::move(parent)), folder_(staging_folder(parent_, step, stamp)), step_(step) {
  on_disk(folder_, "be made", [&] {
    if (staging == Staging::kEmptied) fs::remove_all(folder_);
    fs::create_directories(folder_);
  });
}

StagedCheckpoint::StagedCheckpoint(StagedCheckpoint&& other) noexcept
    : parent_(std::move(other.parent_)),
      folder_(std::exchange(other.folder_, fs::path())),
      step_(other.step_),
      shards_(std::move(other.shards_)) {}

StagedCheckpoint::~StagedCheckpoint() {
  std::error_code ignored;  // what stays is removed at the next start
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

fs::path StagedCheckpoint::shard_path(const std::string& file) const {
  CADRE_CHECK(is_plain_file_name(file) && file != kManifestName, "a shard called ", file);
  return folder_ / file;
}

void StagedCheckpoint::add_shard(const std::string& file, std::optional<std::string> expected_sha256) {
  const fs::path path = shard_path(file);
  const auto is_it = [&](const Shard& shard) { return shard.file == file; };
  CADRE_CHECK(std::none_of(shards_.begin(), shards_.end(), is_it), file, " was added before");
  Shard shard{.file = file};
  try {
    shard.sha256 = sha256_of_file(path);
  } catch (const UserError& error) {
    throw RunError(error.what());
  }
  shard.bytes = on_disk(path, "be read", [&] { return fs::file_size(path); });
  if (expected_sha256 && *expected_sha256 != shard.sha256) {
    throw RunError(
        say(path.string(), ": has the sha256 ", shard.sha256, ", but what was written to it ", *expected_sha256));
  }
  shards_.push_back(std::move(shard));
}

fs::path StagedCheckpoint::publish(Manifest manifest, UtcTime now) {
  CADRE_CHECK(!folder_.empty() && manifest.step == step_, "manifest of step ", manifest.step, ", begun for ", step_);
  manifest.created = iso_time(now);
  manifest.shards = shards_;
  for (const Shard& shard : shards_) {
    flush(folder_ / shard.file);
    const std::string problem = problem_with_bytes(folder_, shard);
    if (!problem.empty()) throw RunError(say(folder_.string(), ": read back after writing, ", problem));
  }
  // A rank that was put out may have left something here.
  on_disk(folder_, "be cleaned", [&] {
    std::vector<fs::path> strays;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
      const auto is_it = [&](const Shard& shard) { return shard.file == entry.path().filename(); };
      if (std::none_of(shards_.begin(), shards_.end(), is_it)) strays.push_back(entry.path());
    }
    for (const fs::path& stray : strays) fs::remove_all(stray);
  });
  const std::string text = print_manifest(manifest);
  CADRE_CHECK(text.size() <= kMaxManifestBytes, "a manifest of ", text.size(), " bytes");
  write_file_atomically(folder_ / kManifestName, text);
  sync_folder(folder_);

  const fs::path target = parent_ / checkpoint_name(step_);
  const fs::path replaced = marked(parent_, kReplacedPrefix, step_);
  on_disk(target, "be published", [&] {
    const bool replaces = fs::exists(target);
    if (replaces) {
      fs::remove_all(replaced);
      fs::rename(target, replaced);
    }
    try {
      fs::rename(folder_, target);
    } catch (...) {
      std::error_code ignored;
      if (replaces) fs::rename(replaced, target, ignored);
      throw;
    }
    folder_.clear();
    sync_folder(parent_);
    std::error_code ignored;  // clean_up() comes back to it
    if (replaces) fs::remove_all(replaced, ignored);
  });
  return target;
}

CheckpointStore::CheckpointStore(fs::path folder) : folder_(std::move(folder)) {}

void CheckpointStore::clean_up() {
  if (!fs::exists(folder_)) return;
  on_disk(folder_, "be cleaned of what an earlier process left", [&] {
    std::vector<fs::path> left;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) left.push_back(entry.path());
    for (const fs::path& path : left) {
      const std::string name = path.filename().string();
      for (const std::string_view prefix : {kStagingPrefix, kReplacedPrefix, kRemovedPrefix}) {
        if (!name.starts_with(prefix)) continue;
        // What follows is the attempt.
        const std::string checkpoint = name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size());
        if (!step_of_checkpoint(checkpoint)) continue;
        const fs::path target = folder_ / checkpoint;
        // The process died between the two renames of publish(): the old one is what there is.
        if (prefix == kReplacedPrefix && !fs::exists(target)) {
          fs::rename(path, target);
          continue;
        }
        if (prefix == kStagingPrefix) {
          remove_renamed(path, folder_ / (std::string(kRemovedPrefix) + name.substr(prefix.size())));
        } else {
          fs::remove_all(path);
        }
      }
    }
  });
}

StagedCheckpoint CheckpointStore::begin(std::uint64_t step) {
  return StagedCheckpoint(folder_, step, {}, StagedCheckpoint::Staging::kEmptied);
}

StagedCheckpoint CheckpointStore::gather(std::uint64_t step, const Stamp& stamp) {
  return StagedCheckpoint(folder_, step, stamp, StagedCheckpoint::Staging::kAsItIs);
}

std::vector<CheckpointEntry> CheckpointStore::list() const {
  std::vector<CheckpointEntry> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    const auto step = step_of_checkpoint(entry->path().filename().string());
    if (step) entries.push_back({.step = *step, .folder = entry->path(), .problem = ""});
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  for (CheckpointEntry& entry : entries) entry.problem = examine(entry.folder, problem_with_size).second;
  return entries;
}

CheckpointStore::Search CheckpointStore::newest_valid(std::optional<std::uint64_t> at_most_step) const {
  Search search;
  for (CheckpointEntry& entry : list()) {
    if (at_most_step && entry.step > *at_most_step) continue;
    if (entry.problem.empty()) {
      auto [manifest, problem] = examine(entry.folder, problem_with_bytes);
      if (problem.empty()) {
        search.found = LoadableCheckpoint{.folder = entry.folder, .manifest = std::move(manifest)};
        return search;
      }
      entry.problem = std::move(problem);
    }
    search.skipped.push_back(std::move(entry));
  }
  return search;
}

void CheckpointStore::remove(std::uint64_t step) {
  const fs::path target = folder_ / checkpoint_name(step);
  on_disk(target, "be removed", [&] { remove_renamed(target, marked(folder_, kRemovedPrefix, step)); });
}

}  // namespace cadre::runtime
