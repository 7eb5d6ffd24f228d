// A real file system of a few pages that fills up. Mounting one takes root; a test skips, with the reason, without it.
#pragma once

#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {

class SmallDisk {
 public:
  explicit SmallDisk(const std::string& options) {
    if (::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, options.c_str()) == 0) {
      mounted_ = true;
    } else {
      why_not_ = std::string("a small tmpfs cannot be mounted here: ") + std::strerror(errno);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }

  bool mounted() const { return mounted_; }
  const std::string& why_not() const { return why_not_; }
  const std::filesystem::path& path() const { return folder_.path(); }
  bool make_read_only() { return ::mount("", path().c_str(), "", MS_REMOUNT | MS_RDONLY, nullptr) == 0; }

 private:
  TestFolder folder_;
  bool mounted_ = false;
  std::string why_not_;
};

}  // namespace cadre::runtime
