// The files of a run's logs/: one a rank, one for the coordinator, one for the launcher. Appended to, so that a resumed
// run keeps what the earlier start said.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "launch/child_process.h"

namespace cadre::launch {

class RunLogs {
 public:
  // Makes the folder. RunError when the disk refuses.
  explicit RunLogs(std::filesystem::path folder);

  static std::string name_of_rank(std::uint32_t rank);  // rank-00003.log
  const std::filesystem::path& folder() const { return folder_; }

  // What cannot be written is lost: a full disk ends no run.
  void rank(std::uint32_t rank, std::string_view text);
  // One line, stamped with the time.
  void launcher(const std::string& line);
  // For the coordinator's stdout and stderr.
  Descriptor open_coordinator() const { return open_file("coordinator.log"); }

 private:
  Descriptor open_file(const std::string& name) const;

  std::filesystem::path folder_;
  Descriptor launcher_;
  std::map<std::uint32_t, Descriptor> ranks_;
};

}  // namespace cadre::launch
