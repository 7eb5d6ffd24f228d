#include "runtime/scratch_folder.h"

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "runtime/error.h"

namespace cadre::runtime {

ScratchFolder::ScratchFolder(const std::filesystem::path& stem) {
  std::string path = stem.string() + "-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw RunError(say(path, ": ", std::strerror(errno)));
  path_ = path;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace cadre::runtime
