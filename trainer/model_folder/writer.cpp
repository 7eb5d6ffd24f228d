#include "trainer/model_folder/writer.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <numeric>

#include "runtime/files.h"
#include "runtime/json_print.h"

namespace cadre::model_folder {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxCopiedBytes = std::uint64_t{256} << 20;
constexpr std::array kTokenizerFiles = {"tokenizer.json",      "tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json",   "vocab.json",            "merges.txt",
                                        "tokenizer.model",     "chat_template.jinja"};

std::vector<std::string> copy_files(const fs::path& from, const fs::path& to, auto names) {
  std::vector<std::string> copied;
  for (const char* name : names) {
    if (!fs::exists(from / name)) continue;
    if (!fs::equivalent(from, to)) runtime::write_file_atomically(to / name, runtime::read_file(from / name, kMaxCopiedBytes));
    copied.emplace_back(name);
  }
  return copied;
}

std::string shard_name(std::size_t index, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

// config.json with the dtype that the weights are stored in now, under the spelling that the base uses.
std::string config_with_dtype(const std::string& text, safetensors::Dtype dtype) {
  boost::json::value config = boost::json::parse(text);
  const char* name = dtype == safetensors::Dtype::kBF16 ? "bfloat16" : dtype == safetensors::Dtype::kF16 ? "float16" : "float32";
  boost::json::object& keys = config.as_object();
  keys[keys.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  return runtime::json_pretty(config) + "\n";
}

}  // namespace

std::vector<std::vector<std::size_t>> split_into_shards(const std::vector<std::uint64_t>& tensor_bytes,
                                                        std::uint64_t max_shard_bytes) {
  std::vector<std::vector<std::size_t>> shards;
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < tensor_bytes.size(); ++i) {
    if (shards.empty() || filled + tensor_bytes[i] > max_shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(i);
    filled += tensor_bytes[i];
  }
  return shards;
}

std::vector<std::string> copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  return copy_files(from, to, kTokenizerFiles);
}

std::vector<std::string> write_model_folder(const fs::path& folder, const Folder& base,
                                            const std::vector<safetensors::NamedTensor>& tensors,
                                            std::uint64_t max_shard_bytes) {
  std::vector<safetensors::NamedTensor> sorted = tensors;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<std::uint64_t> sizes;
  for (const auto& tensor : sorted) sizes.push_back(tensor.tensor.bytes.size());
  const auto shards = split_into_shards(sizes, max_shard_bytes);

  std::vector<std::string> names;
  boost::json::object weight_map;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const std::string name = shards.size() == 1 ? "model.safetensors" : shard_name(s, shards.size());
    std::vector<safetensors::NamedTensor> part;
    for (const std::size_t i : shards[s]) {
      part.push_back(sorted[i]);
      weight_map[sorted[i].name] = name;
    }
    safetensors::write(folder / name, part);
    names.push_back(name);
  }
  runtime::write_file_atomically(folder / "config.json", config_with_dtype(base.config_json(), sorted.at(0).tensor.dtype));
  names.emplace_back("config.json");
  for (const auto& copied : {copy_files(base.path(), folder, std::array{"generation_config.json"}),
                             copy_tokenizer_files(base.path(), folder)}) {
    names.insert(names.end(), copied.begin(), copied.end());
  }
  if (shards.size() > 1) {
    const boost::json::object index{
        {"metadata", boost::json::object{{"total_size", std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0})}}},
        {"weight_map", weight_map}};
    runtime::write_file_atomically(folder / "model.safetensors.index.json", runtime::json_pretty(index) + "\n");
    names.emplace_back("model.safetensors.index.json");
  }
  return names;
}

}  // namespace cadre::model_folder
