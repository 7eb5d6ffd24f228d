#include "runtime/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/atomic_file.h"
#include "runtime/cut_files.h"
#include "runtime/descriptor.h"
#include "runtime/error.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_read(const fs::path& path, int error) {
  throw UserError(say(path.string(), ": cannot be read: ", std::strerror(error)));
}

// Opens a regular file, through symbolic links too. O_NONBLOCK: a FIFO must be refused, not waited for.
int open_regular(const fs::path& path, struct stat& info) {
  int file;
  do {
    file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (file < 0 && errno == EINTR);
  if (file < 0) cannot_read(path, errno);
  const bool known = ::fstat(file, &info) == 0;
  if (known && S_ISREG(info.st_mode)) return file;
  const int error = errno;
  ::close(file);
  if (!known) cannot_read(path, error);
  throw UserError(say(path.string(), ": expected a file, found ",
                      S_ISDIR(info.st_mode)    ? "a folder"
                      : S_ISFIFO(info.st_mode) ? "a named pipe"
                                               : "a device"));
}

}  // namespace

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  struct stat info = {};
  const Descriptor file(open_regular(path, info));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes) {
    throw UserError(say(path.string(), ": has ", size, " bytes, at most ", max_bytes, " are read"));
  }
  std::string content;
  // A file may grow while it is read, and those under /proc tell no size: the end is where read() says so.
  for (std::uint64_t wanted = size + 1;;) {
    const std::size_t had = content.size();
    content.resize(had + static_cast<std::size_t>(wanted));
    const ssize_t got = ::read(file.get(), content.data() + had, static_cast<std::size_t>(wanted));
    const int error = errno;
    content.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && error == EINTR) continue;
    if (got < 0) cannot_read(path, error);
    if (got == 0) return content;
    if (content.size() > max_bytes) {
      throw UserError(say(path.string(), ": grew beyond ", max_bytes, " bytes while it was read"));
    }
    wanted = std::clamp<std::uint64_t>(size + 1 - std::min<std::uint64_t>(content.size(), size), 4096, 1 << 30);
  }
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void sync_folder(const fs::path& folder) {
  const std::string name = folder.empty() ? "." : folder.string();
  const Descriptor file(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some network file systems cannot flush a folder and say EINVAL; there is nothing more to be done there.
  if (file.get() < 0 || (::fsync(file.get()) != 0 && errno != EINVAL)) {
    throw RunError(say(name, ": cannot be flushed to the disk: ", std::strerror(errno)));
  }
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  struct stat info = {};
  const Descriptor file(open_regular(path, info));
  size_ = static_cast<std::size_t>(info.st_size);
  if (size_ == 0) return;  // mmap refuses an empty range
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) cannot_read(path, errno);
  data_ = static_cast<const std::byte*>(data);
  try {
    watch_for_cuts(bytes(), path);
  } catch (...) {
    unmap();
    throw;
  }
}

void MappedFile::unmap() noexcept {
  if (data_ == nullptr) return;
  unwatch(bytes());
  ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  path_ = std::move(other.path_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

MappedFile::~MappedFile() {
  unmap();
}

}  // namespace cadre::runtime
