#include "trainer/model_folder/writer.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/json_print.h"
#include "runtime/manifest.h"
#include "trainer/model_folder/json_fields.h"

namespace cadre::model_folder {
namespace {

namespace fs = std::filesystem;
using runtime::say;
using safetensors::PlannedTensor;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::uint64_t kMaxCopiedBytes = std::uint64_t{1} << 30;
constexpr std::array kTokenizerFiles{
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt",     "tokenizer.model",       "chat_template.jinja",     "chat_template.json"};
constexpr const char* kTemplateFolder = "additional_chat_templates";

// What the standard library's file functions throw, as ours.
template <typename Do>
void on_disk(const fs::path& path, const char* what, Do action) {
  try {
    action();
  } catch (const fs::filesystem_error& error) {
    throw runtime::RunError(say(path.string(), ": cannot ", what, ": ", error.code().message()));
  }
}

void make_folder(const fs::path& folder) {
  on_disk(folder, "be made", [&] { fs::create_directories(folder); });
}

void remove_file(const fs::path& path) {
  on_disk(path, "be removed", [&] { fs::remove(path); });
}

// Weights under names that are not written now: a reader would take them for those of this model.
void remove_other_weights(const fs::path& folder, const std::vector<std::string>& written) {
  std::vector<fs::path> others;
  on_disk(folder, "be listed", [&] {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      const bool weights = name == kSingleName || (name.starts_with("model-") && name.ends_with(".safetensors"));
      if (weights && std::find(written.begin(), written.end(), name) == written.end()) others.push_back(entry.path());
    }
  });
  std::for_each(others.begin(), others.end(), remove_file);
}

// Copies `name`, where it is there and not the same file, and remembers it.
void copy_file(const fs::path& from, const fs::path& to, const std::string& name, std::vector<std::string>& copied) {
  std::error_code ignored;
  if (!fs::exists(from / name, ignored)) return;
  if (!fs::equivalent(from, to, ignored)) {
    runtime::write_file_atomically(to / name, runtime::read_file(from / name, kMaxCopiedBytes));
  }
  copied.push_back(name);
}

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return kSingleName;
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

// config.json with the dtype that the weights are stored in now, under the spelling that the base uses; byte for byte
// where that is what it says.
std::string config_with_dtype(const std::string& text, safetensors::Dtype dtype) {
  const std::string_view name = dtype == safetensors::Dtype::kBF16  ? "bfloat16"
                                : dtype == safetensors::Dtype::kF16 ? "float16"
                                                                    : "float32";
  boost::json::object config = parse_json_object(text, "config.json");
  const char* key = config.contains("dtype") ? "dtype" : "torch_dtype";
  const boost::json::value* said = config.if_contains(key);
  if (said != nullptr && said->is_string() && said->get_string() == boost::json::string_view(name)) return text;
  config[key] = boost::json::string_view(name);
  return runtime::json_pretty(config) + "\n";
}

// `files` holds the file name of each tensor.
std::string print_index(const std::vector<PlannedTensor>& tensors, const std::map<std::string, std::string>& files) {
  std::uint64_t bytes = 0, elements = 0;
  for (const PlannedTensor& tensor : tensors) {
    bytes += tensor.bytes();
    elements += tensor.bytes() / size_of(tensor.dtype);
  }
  boost::json::object map;
  for (const auto& [name, file] : files) map.emplace(name, boost::json::string(file));
  boost::json::object index;
  index["metadata"] = boost::json::object{{"total_parameters", elements}, {"total_size", bytes}};
  index["weight_map"] = std::move(map);
  return runtime::json_pretty(index) + "\n";
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
  make_folder(to);
  std::vector<std::string> copied;
  for (const char* name : kTokenizerFiles) copy_file(from, to, name, copied);
  std::error_code ignored;
  std::vector<std::string> templates;
  for (const fs::directory_entry& entry : fs::directory_iterator(from / kTemplateFolder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (runtime::is_plain_file_name(name) && name.ends_with(".jinja")) templates.push_back(name);
  }
  std::sort(templates.begin(), templates.end());
  if (!templates.empty()) make_folder(to / kTemplateFolder);
  for (const std::string& name : templates) copy_file(from, to, std::string(kTemplateFolder) + "/" + name, copied);
  return copied;
}

std::vector<std::string> write_model_folder(const fs::path& folder, const Folder& base, ModelTensors tensors,
                                            std::uint64_t max_shard_bytes) {
  std::vector<PlannedTensor>& sorted = tensors.planned;
  CADRE_CHECK(!sorted.empty(), folder.string());
  std::error_code ignored;
  if (fs::equivalent(base.path(), folder, ignored)) {
    throw runtime::UserError(say(folder.string(), ": is the base model's own folder; choose another one to write to"));
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<std::uint64_t> sizes;
  for (const PlannedTensor& tensor : sorted) sizes.push_back(tensor.bytes());
  const auto shards = split_into_shards(sizes, max_shard_bytes);
  const bool single = shards.size() == 1;

  make_folder(folder);
  // From here on a reader finds no weights, rather than old and new ones mixed.
  remove_file(folder / kIndexName);
  if (!single) remove_file(folder / kSingleName);
  std::vector<std::string> names;
  std::map<std::string, std::string> files;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const std::string name = shard_name(s, shards.size());
    std::vector<PlannedTensor> part;
    for (const std::size_t i : shards[s]) {
      part.push_back(sorted[i]);
      files[sorted[i].name] = name;
    }
    safetensors::write(folder / name, std::move(part), tensors.bytes_of);
    names.push_back(name);
  }
  remove_other_weights(folder, names);

  runtime::write_file_atomically(folder / "config.json", config_with_dtype(base.config_json(), sorted[0].dtype));
  names.emplace_back("config.json");
  copy_file(base.path(), folder, "generation_config.json", names);
  const std::vector<std::string> copied = copy_tokenizer_files(base.path(), folder);
  names.insert(names.end(), copied.begin(), copied.end());
  if (!single) {
    runtime::write_file_atomically(folder / kIndexName, print_index(sorted, files));
    names.emplace_back(kIndexName);
  }
  return names;
}

}  // namespace cadre::model_folder
