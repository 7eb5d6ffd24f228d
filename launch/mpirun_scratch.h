#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "runtime/error.h"
#include "runtime/scratch_folder.h"

namespace cadre::launch {

// Where the mpiruns of this machine keep what they need; each makes folders in it, and leaves them when it is killed.
class MpirunScratch {
 public:
  MpirunScratch() {
    try {
      folder_.emplace("/tmp/cadre");
    } catch (const runtime::RunError&) {  // mpirun has a place of its own choice
    }
  }
  // Islands that begin at the same time would make the same folders, and one of them would fail.
  std::string of_island(std::uint32_t number) const {
    if (!folder_) return {};
    const std::filesystem::path folder = folder_->path() / std::to_string(number);
    std::error_code ignored;  // mpirun says what it cannot make
    std::filesystem::create_directory(folder, ignored);
    return folder.string();
  }

 private:
  std::optional<runtime::ScratchFolder> folder_;
};

}  // namespace cadre::launch
