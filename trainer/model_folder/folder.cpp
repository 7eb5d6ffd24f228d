#include "trainer/model_folder/folder.h"

#include <algorithm>
#include <cstring>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/quote.h"
#include "runtime/sha256.h"
#include "trainer/model_folder/weight_index.h"

namespace cadre::model_folder {
namespace {

namespace fs = std::filesystem;
using runtime::in_quotes;
using runtime::say;
using safetensors::Dtype;
using safetensors::TensorView;

constexpr std::uint64_t kMaxConfigBytes = 8 << 20;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::string read_config(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw runtime::UserError(say(folder.string(), ": expected a model folder, found ",
                                 fs::exists(folder, ignored) ? "a file" : "nothing",
                                 "; fetch the model and give its folder"));
  }
  if (!fs::exists(folder / "config.json", ignored) && fs::exists(folder / "adapter_config.json", ignored)) {
    throw runtime::UserError(say(folder.string(),
                                 ": expected a model folder, found an adapter; give the folder of its "
                                 "base model as base_model, this one as lora_model_dir"));
  }
  return runtime::read_file(folder / "config.json", kMaxConfigBytes);
}

// The names of transformers' own buffers, which older folders hold.
bool is_harmless(const std::string& name) {
  return name.size() < 200 && name.starts_with("model.") && name.ends_with("rotary_emb.inv_freq");
}

std::string_view dtype_text(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return "float32";
    case Dtype::kBF16:
      return "bfloat16";
    case Dtype::kF16:
      return "float16";
    default:
      return "";
  }
}

struct Found {
  const safetensors::File* file;
  const TensorView* tensor;
};
using FoundTensors = std::map<std::string, Found, std::less<>>;

FoundTensors collect(const std::vector<safetensors::File>& files, const WeightIndex& index) {
  FoundTensors found;
  for (const safetensors::File& file : files) {
    for (const auto& [name, tensor] : file.tensors()) {
      const auto [place, is_new] = found.emplace(name, Found{&file, &tensor});
      if (!is_new) {
        throw runtime::UserError(say(file.path().string(), ": tensor ", in_quotes(name), " is also in ",
                                     place->second.file->path().filename().string()));
      }
    }
  }
  for (const auto& [name, shard] : index.shard_of) {
    const auto place = found.find(name);
    if (place == found.end() || place->second.file->path().filename() != shard) {
      throw runtime::UserError(say(files.front().path().parent_path().string(),
                                   "/model.safetensors.index.json: tensor ", in_quotes(name), " is not in ", shard,
                                   ", where weight_map says it is"));
    }
  }
  return found;
}

void check_tensor(const std::string& name, const std::vector<std::int64_t>& shape, const Found& found) {
  const std::string where = say(found.file->path().string(), ": tensor ", in_quotes(name), ": ");
  if (found.tensor->shape != shape) {
    throw runtime::UserError(say(where, "expected the shape ", shape_text(shape), " by config.json, found ",
                                 shape_text(found.tensor->shape)));
  }
  if (dtype_text(found.tensor->dtype).empty()) {
    throw runtime::UserError(say(where, "expected F32, BF16 or F16, found ", name_of(found.tensor->dtype)));
  }
}

void refuse_missing(const fs::path& folder, const std::vector<std::string>& missing, const FoundTensors& found) {
  if (missing.empty()) return;
  std::string message = say(folder.string(), ": tensor ", in_quotes(missing.front()),
                            missing.size() > 1 ? say(" and ", missing.size() - 1, " more are") : " is", " missing");
  if (found.contains("embed_tokens.weight")) {
    message += "; the weights are those of a model without its head: save the one for causal language modelling";
  } else if (missing.front() == "lm_head.weight" && missing.size() == 1) {
    message += "; config.json says tie_word_embeddings: false";
  }
  throw runtime::UserError(message);
}

// A tie means one tensor. Where a folder holds both and they differ, transformers unties them; we cannot tell which is
// meant.
void check_tie(const Found& head, const Found& embedding) {
  if (head.tensor->dtype == embedding.tensor->dtype && head.tensor->shape == embedding.tensor->shape &&
      std::memcmp(head.tensor->bytes.data(), embedding.tensor->bytes.data(), head.tensor->bytes.size()) == 0) {
    return;
  }
  throw runtime::UserError(say(head.file->path().string(), ": tensor \"lm_head.weight\": differs from ",
                               "model.embed_tokens.weight, though config.json ties them (tie_word_embeddings)"));
}

}  // namespace

Folder Folder::open(const fs::path& path, Weights weights) {
  Folder folder;
  folder.path_ = path;
  folder.config_json_ = read_config(path);
  std::string generation;
  std::error_code ignored;
  if (fs::exists(path / "generation_config.json", ignored)) {
    generation = runtime::read_file(path / "generation_config.json", kMaxConfigBytes);
  }
  folder.spec_ = parse_config(folder.config_json_, generation, (path / "config.json").string());
  if (weights == Weights::kNone) return folder;

  const WeightIndex index = find_weights(path);
  folder.weight_files_ = index.files;
  for (const fs::path& file : index.files) folder.files_.emplace_back(file);
  const FoundTensors found = collect(folder.files_, index);

  const auto expected = expected_tensors(folder.spec_);
  std::vector<std::string> missing;
  for (const auto& [name, shape] : expected) {
    const auto place = found.find(name);
    if (place == found.end()) {
      missing.push_back(name);
      continue;
    }
    check_tensor(name, shape, place->second);
    folder.tensors_.emplace(name, place->second.tensor);
  }
  refuse_missing(path, missing, found);
  for (const auto& [name, place] : found) {
    if (expected.contains(name) || is_harmless(name)) continue;
    if (name == "lm_head.weight") {
      check_tie(place, found.find("model.embed_tokens.weight")->second);
      continue;
    }
    throw runtime::UserError(say(place.file->path().string(), ": tensor ", in_quotes(name),
                                 ": config.json has no place for ", "it in ", folder.spec_.architecture,
                                 "; folder and config.json do not belong together"));
  }
  folder.spec_.dtype = dtype_text(folder.tensor("model.embed_tokens.weight").dtype);
  return folder;
}

const TensorView& Folder::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  CADRE_CHECK(found != tensors_.end(), path_.string(), ": ", name);
  return *found->second;
}

std::string Folder::sha256() const {
  runtime::Sha256 hash;
  const auto add = [&](const fs::path& file) {
    hash.update(runtime::sha256_of_file(file)).update("  ").update(file.filename().string()).update("\n");
  };
  add(path_ / "config.json");
  std::for_each(weight_files_.begin(), weight_files_.end(), add);
  return hash.hex();
}

}  // namespace cadre::model_folder
