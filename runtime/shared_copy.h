// Copies that the processes of one host share: whoever comes first makes them, the others wait for them, and the last
// that reads them removes them.
#pragma once

#include <filesystem>
#include <functional>

#include "runtime/descriptor.h"

namespace cadre::runtime {

class SharedCopy {
 public:
  // `place`: a name that all of them give and no other user can guess, in a folder that is there. `make` fills an empty
  // folder; what it throws leaves here, and the next that waits makes it. `check` is called again and again while
  // another makes it, and may throw. RunError: the disk refuses, or the name is another user's.
  SharedCopy(const std::filesystem::path& place, const std::function<void(const std::filesystem::path&)>& make,
             const std::function<void()>& check);
  SharedCopy(const SharedCopy&) = delete;
  SharedCopy& operator=(const SharedCopy&) = delete;
  ~SharedCopy();

  // What was made.
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void fill(const std::function<void(const std::filesystem::path&)>& make);
  bool is_removed() const;
  void leave();

  std::filesystem::path place_, folder_;
  Descriptor users_;  // of a file that is locked by all that read the copies or wait for them
};

}  // namespace cadre::runtime
