// A folder of a test's own, removed at its end.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "runtime/scratch_folder.h"

namespace cadre::runtime {

class TestFolder : public ScratchFolder {
 public:
  TestFolder() : ScratchFolder(std::filesystem::temp_directory_path() / "cadre-test") {}
  std::filesystem::path operator/(const std::string& name) const { return path() / name; }
};

inline void put(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string get(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

}  // namespace cadre::runtime
