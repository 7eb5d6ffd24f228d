// Copies that the processes of one host share: whoever comes first makes them, the others wait for them, and the last
// that reads them removes them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>

#include "runtime/descriptor.h"
#include "runtime/scratch_folder.h"

namespace cadre::runtime {

class SharedCopy {
 public:
  // `place`: a name that all of them give, in a folder that is there. `make` fills an empty folder; what it throws
  // leaves here, and the next that waits makes it. `check` is called again and again while another makes it, and may
  // throw. Where the name is another user's, or the one that makes the copies has written nothing for as long as
  // `stuck`, this process makes copies of its own. RunError: the disk refuses.
  SharedCopy(const std::filesystem::path& place, const std::function<void(const std::filesystem::path&)>& make,
             const std::function<void()>& check, std::chrono::milliseconds stuck = std::chrono::seconds(30));
  SharedCopy(const SharedCopy&) = delete;
  SharedCopy& operator=(const SharedCopy&) = delete;
  ~SharedCopy();

  // What was made.
  const std::filesystem::path& folder() const { return folder_; }

 private:
  // False: they cannot be shared.
  bool share(const std::function<void(const std::filesystem::path&)>& make, const std::function<void()>& check,
             std::chrono::milliseconds stuck);
  void fill(const std::function<void(const std::filesystem::path&)>& make);
  bool is_removed() const;
  void leave();

  std::filesystem::path place_, folder_;
  std::optional<ScratchFolder> own_;
  Descriptor users_;  // of a file that is locked by all that read the copies or wait for them
};

}  // namespace cadre::runtime
