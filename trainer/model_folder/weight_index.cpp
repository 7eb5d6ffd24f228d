#include "trainer/model_folder/weight_index.h"

#include <set>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/manifest.h"
#include "runtime/quote.h"
#include "trainer/model_folder/json_fields.h"

namespace cadre::model_folder {
namespace {

namespace fs = std::filesystem;
using runtime::in_quotes;
using runtime::say;

constexpr std::uint64_t kMaxIndexBytes = 64 << 20;
constexpr std::size_t kMaxShards = 10000;

}  // namespace

std::map<std::string, std::string> parse_weight_index(std::string_view json, const std::string& where) {
  const boost::json::object object = parse_json_object(json, where);
  const JsonFields index(object, where);
  const std::optional<JsonFields> names = index.object("weight_map");
  if (!names) index.expected("weight_map", "an object of tensor names and files");
  std::map<std::string, std::string> shard_of;
  std::set<std::string> files;
  for (const auto& [tensor, file] : names->json()) {
    const std::string name(tensor);
    if (!file.is_string()) {
      throw runtime::UserError(
          say(where, ": weight_map: expected a file name for ", in_quotes(name), ", found ", short_json(file)));
    }
    const std::string shard(file.get_string());
    if (!runtime::is_plain_file_name(shard) || !shard.ends_with(".safetensors")) {
      throw runtime::UserError(say(where, ": weight_map: expected the name of a .safetensors file in this folder for ",
                                   in_quotes(name), ", found ", in_quotes(shard)));
    }
    files.insert(shard);
    if (files.size() > kMaxShards) {
      throw runtime::UserError(say(where, ": weight_map: names more than ", kMaxShards, " files"));
    }
    shard_of[name] = shard;
  }
  if (shard_of.empty()) throw runtime::UserError(say(where, ": weight_map: names no tensor"));
  return shard_of;
}

WeightIndex find_weights(const fs::path& folder) {
  WeightIndex index;
  std::error_code ignored;
  // As transformers: a single file wins over an index beside it.
  const fs::path single = folder / "model.safetensors", list = folder / "model.safetensors.index.json";
  if (fs::exists(fs::symlink_status(single, ignored))) {
    index.files = {single};
    return index;
  }
  if (!fs::exists(fs::symlink_status(list, ignored))) {
    std::string message = say(folder.string(), ": expected model.safetensors or model.safetensors.index.json");
    if (fs::exists(folder / "pytorch_model.bin", ignored) ||
        fs::exists(folder / "pytorch_model.bin.index.json", ignored)) {
      message += ", found pytorch_model.bin, which is not read; save the model as safetensors";
    } else {
      message += ", found neither; fetch the weights into this folder";
    }
    throw runtime::UserError(message);
  }
  index.shard_of = parse_weight_index(runtime::read_file(list, kMaxIndexBytes), list.string());
  std::set<fs::path> files;
  for (const auto& [tensor, file] : index.shard_of) files.insert(folder / file);
  index.files.assign(files.begin(), files.end());
  return index;
}

}  // namespace cadre::model_folder
