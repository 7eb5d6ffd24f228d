#pragma once

#include <filesystem>

namespace cadre::runtime {

// A new folder of this process's own, removed with all that is in it.
class ScratchFolder {
 public:
  // `stem`, a dash and six characters of the system's choice. RunError when the disk refuses.
  explicit ScratchFolder(const std::filesystem::path& stem);
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace cadre::runtime
