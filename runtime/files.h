// Files as a process that may die at any moment must treat them: whole or not there, bounded, never followed blindly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cadre::runtime {

// Reads a regular file of at most `max_bytes`. UserError: missing, a directory, unreadable, too large.
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes);

// Replaces `path` atomically: temporary sibling, write, fsync, rename, fsync of the folder. A reader sees the old
// content or the new, never a part. RunError, naming path and cause, when the disk refuses (full, read-only); the old
// file then stays as it was and the temporary one is removed.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

// fsync of a folder, so that a rename inside it is durable.
void sync_folder(const std::filesystem::path& folder);

// A read-only memory map of a regular file; move-only, unmapped on destruction. For files that become shorter while
// they are mapped, see cut_files.h.
class MappedFile {
 public:
  // UserError: missing, not a regular file, unreadable.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  void unmap() noexcept;

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace cadre::runtime
