#include "runtime/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/error.h"
#include "runtime/files.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

// What the user can do about it, where the cause alone does not say.
std::string explain(int error) {
  std::string text = std::strerror(error);
  if (error == ENOSPC) text += "; free some or choose another disk";
  if (error == EDQUOT) text += "; free some of your quota or choose another disk";
  if (error == EROFS) text += "; choose a folder on a disk that can be written to";
  return text;
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> next{0};
  const fs::path folder = path_.parent_path();
  // A name of another process that died, with the same pid, may still be there: take the next.
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = folder / say(".cadre-", ::getpid(), "-", next++, ".tmp");
    do {
      file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (file_ < 0 && errno == EINTR);
    if (file_ >= 0) return;
    if (errno != EEXIST) break;
  }
  fail(errno);
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  CADRE_CHECK(file_ >= 0, path_.string());
  while (!bytes.empty()) {
    // Linux writes at most 2 GiB a call anyway.
    const ssize_t written = ::write(file_, bytes.data(), std::min<std::size_t>(bytes.size(), std::size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      discard();
      fail(error);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  CADRE_CHECK(file_ >= 0, path_.string());
  int error = 0;
  if (::fsync(file_) != 0) error = errno;
  // Network file systems report a full disk only here.
  if (::close(std::exchange(file_, -1)) != 0 && errno != EINTR && error == 0) error = errno;
  if (error == 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0) error = errno;
  if (error != 0) {
    discard();
    fail(error);
  }
  temporary_.clear();
  sync_folder(path_.parent_path());
}

void AtomicFile::fail(int error) const {
  throw RunError(say(path_.string(), ": cannot be written: ", explain(error)));
}

void AtomicFile::discard() noexcept {
  if (file_ >= 0) ::close(std::exchange(file_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

}  // namespace cadre::runtime
