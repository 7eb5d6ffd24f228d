#include "trainer/run/run_files.h"

#include <chrono>
#include <span>
#include <thread>
#include <utility>

#include "runtime/authentication.h"
#include "runtime/error.h"
#include "runtime/failpoints.h"
#include "runtime/hex.h"
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

fs::path temporary_folder() {
  std::error_code ignored;
  fs::path folder = fs::temp_directory_path(ignored);
  return folder.empty() ? "/tmp" : folder;
}

// Its manifest, then all that this names, to `folder`.
void fetch_checkpoint(runtime::FileClient& client, const fs::path& checkpoint, const fs::path& folder,
                      const std::function<void()>& check) {
  fs::remove_all(folder);  // what came before the connection was lost
  fs::create_directories(folder);
  client.fetch((checkpoint / runtime::kManifestName).string(), folder / runtime::kManifestName, check);
  const runtime::Manifest manifest = runtime::read_manifest(folder);
  std::uint64_t bytes = 0;
  for (const runtime::Shard& shard : manifest.shards) bytes += shard.bytes;
  require_room(folder, bytes);
  runtime::reach(runtime::Failpoint::kCopy, manifest.step);
  for (const runtime::Shard& shard : manifest.shards) {
    client.fetch((checkpoint / shard.file).string(), folder / shard.file, check);
  }
}

}  // namespace

std::filesystem::path scratch_stem() {
  return temporary_folder() / "cadre-rank";
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

std::unique_ptr<runtime::FileClient> RunFiles::connect(std::chrono::milliseconds patience) const {
  const std::lock_guard lock(mutex_);
  return std::make_unique<runtime::FileClient>(servers_, token_, patience);
}

void RunFiles::connected(const std::function<void(runtime::FileClient&)>& work,
                         const std::function<void()>& check) const {
  constexpr std::chrono::milliseconds kPatience{1000}, kPause{200};
  constexpr std::chrono::minutes kLimit{1};
  std::optional<std::chrono::steady_clock::time_point> lost;
  for (;;) {
    check();
    try {
      const auto client = connect(kPatience);
      return work(*client);
    } catch (const runtime::ControlLost&) {
      const auto now = std::chrono::steady_clock::now();
      if (!lost) lost = now;
      if (now - *lost > kLimit) throw;
    }
    std::this_thread::sleep_for(kPause);
  }
}

fs::path RunFiles::place_of_copies(const std::string& what) const {
  const runtime::Key name = runtime::hmac_sha256(token_, "copies of " + what);
  return temporary_folder() / ("cadre-copies-" + runtime::hex_of(std::span(name).first(16)));
}

CheckpointHere::CheckpointHere(const RunFiles& files, const fs::path& checkpoint, const std::function<void()>& check)
    : folder_(checkpoint) {
  if (!files.are_shared()) {
    const fs::path name = checkpoint.filename();  // what is wrong with it is told under its name
    const auto make = [&](const fs::path& copies) {
      const auto fetch = [&](runtime::FileClient& client) {
        fetch_checkpoint(client, checkpoint, copies / name, check);
      };
      files.connected(fetch, check);
    };
    copy_.emplace(files.place_of_copies(checkpoint.string()), make, check);
    folder_ = copy_->folder() / name;
  }
  manifest_ = runtime::read_manifest(folder_);
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
    const runtime::SharedCopy copies(
        files.place_of_copies(key),
        [&](const fs::path& here) {
          const fs::path copy = data::prepared_file(here, key);
          fs::create_directories(copy.parent_path());
          files.connect()->fetch(data::prepared_file(folder, key).string(), copy);
        },
        [] {});
    return data::load_prepared(copies.folder(), key, problem);
  } catch (const std::runtime_error& error) {
    problem = error.what();
    return std::nullopt;
  }
}

}  // namespace cadre::run
