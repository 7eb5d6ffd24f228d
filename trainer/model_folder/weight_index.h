// Which safetensors files a model folder's weights lie in.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::model_folder {

struct WeightIndex {
  std::vector<std::filesystem::path> files;     // sorted
  std::map<std::string, std::string> shard_of;  // tensor → file name; empty for a single file
};

// model.safetensors, or what model.safetensors.index.json names. UserError where there is neither, or where the index
// is malformed or leaves the folder.
WeightIndex find_weights(const std::filesystem::path& folder);

// tensor → file name, from the index's text.
std::map<std::string, std::string> parse_weight_index(std::string_view json, const std::string& where);

}  // namespace cadre::model_folder
