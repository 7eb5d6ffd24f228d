#include "trainer/run/run_files.h"

#include <utility>

#include "runtime/error.h"
#include "runtime/shared_folder.h"
#include "trainer/data/prepared_cache.h"

namespace cadre::run {
namespace {

namespace fs = std::filesystem;

void require_room(const fs::path& folder, std::uint64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= bytes) return;
  throw runtime::RunError(runtime::say(folder.string(), ": a checkpoint of ", bytes, " bytes is copied to this host, ",
                                       "but only ", space.available, " are free; free some, set TMPDIR, or share the ",
                                       "run's folder"));
}

}  // namespace

std::filesystem::path scratch_stem() {
  std::error_code ignored;
  fs::path parent = fs::temp_directory_path(ignored);
  if (parent.empty()) parent = "/tmp";
  return parent / "cadre-rank";
}

RunFiles::RunFiles(fs::path folder, std::string token) : folder_(std::move(folder)), token_(std::move(token)) {}

std::string RunFiles::leave_proof() {
  proof_ = runtime::leave_folder_proof(folder_, token_);
  return proof_;
}

void RunFiles::welcome(const runtime::Welcome& answer) {
  const std::lock_guard lock(mutex_);
  are_shared_ = answer.shares_folder;
  servers_ = answer.file_server;
  runtime::remove_folder_proof(folder_, std::exchange(proof_, {}));
}

bool RunFiles::are_shared() const {
  const std::lock_guard lock(mutex_);
  return are_shared_;
}

std::unique_ptr<runtime::FileClient> RunFiles::connect() const {
  const std::lock_guard lock(mutex_);
  return std::make_unique<runtime::FileClient>(servers_, token_);
}

CheckpointHere::CheckpointHere(const RunFiles& files, const fs::path& checkpoint, const std::function<void()>& check)
    : folder_(checkpoint) {
  if (files.are_shared()) {
    manifest_ = runtime::read_manifest(folder_);
    return;
  }
  const auto client = files.connect();
  scratch_.emplace(scratch_stem());
  folder_ = scratch_->path() / checkpoint.filename();
  std::error_code error;
  if (!fs::create_directory(folder_, error)) throw runtime::RunError(folder_.string() + ": " + error.message());
  client->fetch((checkpoint / runtime::kManifestName).string(), folder_ / runtime::kManifestName, check);
  manifest_ = runtime::read_manifest(folder_);
  std::uint64_t bytes = 0;
  for (const runtime::Shard& shard : manifest_.shards) bytes += shard.bytes;
  require_room(folder_, bytes);
  for (const runtime::Shard& shard : manifest_.shards) {
    client->fetch((checkpoint / shard.file).string(), folder_ / shard.file, check);
  }
}

runtime::Shard write_shard(const RunFiles& files, const fs::path& folder, const std::string& name,
                           const StateSnapshot& snapshot) {
  if (files.are_shared()) return write_state_shard(folder, name, snapshot);
  const auto client = files.connect();
  runtime::FileUpload upload(*client, (folder / name).string());
  write_state([&](std::span<const std::byte> bytes) { upload.write(bytes); }, snapshot);
  std::string hash = upload.finish();
  return {name, upload.bytes(), std::move(hash)};
}

std::optional<data::Prepared> fetch_prepared(const RunFiles& files, const fs::path& folder, const std::string& key,
                                             std::string& problem) {
  try {
    if (key.empty()) throw runtime::RunError("it was not kept");
    const runtime::ScratchFolder scratch(scratch_stem());
    const fs::path copy = data::prepared_file(scratch.path(), key);
    fs::create_directories(copy.parent_path());
    files.connect()->fetch(data::prepared_file(folder, key).string(), copy);
    return data::load_prepared(scratch.path(), key, problem);
  } catch (const std::runtime_error& error) {
    problem = error.what();
    return std::nullopt;
  }
}

}  // namespace cadre::run
