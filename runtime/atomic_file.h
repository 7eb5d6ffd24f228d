// A file that is written bit by bit and appears whole, or not at all: a temporary sibling, flushed and renamed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace cadre::runtime {

// Used by one thread. The temporary sibling is removed when the object goes before commit() has returned.
class AtomicFile {
 public:
  // RunError, naming path and cause, when the disk refuses; so do the others.
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // Flushes, takes the place of what `path` was, and flushes the folder. Nothing may follow.
  void commit();

 private:
  [[noreturn]] void fail(int error) const;
  void discard() noexcept;

  std::filesystem::path path_, temporary_;
  int file_ = -1;
};

}  // namespace cadre::runtime
