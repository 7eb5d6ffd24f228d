// Writing safetensors: header with names in sorted order (Python's writer sorts by dtype, then name; readers accept
// both), tensors 8-byte aligned, metadata {"format": "pt"} plus what the caller adds. The file appears whole or not at
// all (temporary sibling, fsync, rename). The same input gives the same bytes.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "trainer/safetensors/file.h"

namespace cadre::safetensors {

struct NamedTensor {
  std::string name;
  TensorView tensor;  // bytes must stay valid during the call
};

// RunError when the disk refuses.
void write(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
           const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace cadre::safetensors
