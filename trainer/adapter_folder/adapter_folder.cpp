#include "trainer/adapter_folder/adapter_folder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/quote.h"
#include "runtime/sha256.h"

namespace cadre::adapter_folder {
namespace {

namespace fs = std::filesystem;
using model_folder::ModelSpec;
using runtime::in_quotes;
using runtime::say;
using safetensors::Dtype;
using safetensors::TensorView;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kWeightsName = "adapter_model.safetensors";
constexpr std::uint64_t kMaxConfigBytes = 8 << 20;
constexpr const char* kPrefix = "base_model.model.";

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::string read_config(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kConfigName, ignored)) {
    throw runtime::UserError(say(folder.string(), ": expected an adapter folder with ", kConfigName, ", found ",
                                 fs::exists(folder / "config.json", ignored) ? "a model folder"
                                 : fs::is_directory(folder, ignored)         ? "none"
                                 : fs::exists(folder, ignored)               ? "a file"
                                                                             : "nothing"));
  }
  if (!fs::exists(folder / kWeightsName, ignored) && fs::exists(folder / "adapter_model.bin", ignored)) {
    throw runtime::UserError(say(folder.string(), ": expected ", kWeightsName,
                                 ", found adapter_model.bin; save it as safetensors with PEFT"));
  }
  return runtime::read_file(folder / kConfigName, kMaxConfigBytes);
}

// On a tied base, PEFT without ensure_weight_tying trains a copy of one end and leaves the other: no longer a tie.
void check_tie(const ModelSpec& spec, const AdapterConfig& config, const std::string& where) {
  if (!spec.tie_word_embeddings || config.modules_to_save.empty() || config.ensure_weight_tying) return;
  throw runtime::UserError(say(where, ": modules_to_save: ", config.modules_to_save.front(),
                               " of a base with tied "
                               "embeddings is supported with ensure_weight_tying: true only"));
}

void check_dtype(const std::string& where, const TensorView& tensor) {
  if (tensor.dtype == Dtype::kF32 || tensor.dtype == Dtype::kBF16 || tensor.dtype == Dtype::kF16) return;
  throw runtime::UserError(say(where, "expected F32, BF16 or F16, found ", name_of(tensor.dtype)));
}

}  // namespace

std::string saved_a(const std::string& module) {
  return kPrefix + module + ".lora_A.weight";
}
std::string saved_b(const std::string& module) {
  return kPrefix + module + ".lora_B.weight";
}
std::string saved_magnitude(const std::string& module) {
  return kPrefix + module + ".lora_magnitude_vector";
}

std::string saved_whole(std::string_view name) {
  CADRE_CHECK(name == "embed_tokens" || name == "lm_head", name);
  return std::string(kPrefix) + (name == "lm_head" ? "lm_head.weight" : "model.embed_tokens.weight");
}

std::map<std::string, std::vector<std::int64_t>> expected_tensors(const ModelSpec& spec, const AdapterConfig& config,
                                                                  const std::vector<Target>& targets) {
  std::map<std::string, std::vector<std::int64_t>> tensors;
  for (const Target& target : targets) {
    tensors[saved_a(target.module)] = {target.r, target.in_features};
    tensors[saved_b(target.module)] = {target.out_features, target.r};
    if (config.use_dora) tensors[saved_magnitude(target.module)] = {target.out_features};
  }
  const std::vector<std::int64_t> whole{spec.vocab_size, spec.hidden_size};
  for (const std::string& name : config.modules_to_save) tensors[saved_whole(name)] = whole;
  if (spec.tie_word_embeddings && !config.modules_to_save.empty()) {
    tensors[saved_whole("embed_tokens")] = tensors[saved_whole("lm_head")] = whole;
  }
  return tensors;
}

AdapterFolder::AdapterFolder(fs::path path, AdapterConfig config, std::vector<Target> targets)
    : path_(std::move(path)), config_(std::move(config)), targets_(std::move(targets)), file_(path_ / kWeightsName) {}

AdapterFolder AdapterFolder::open(const fs::path& path, const ModelSpec& spec) {
  const std::string where = (path / kConfigName).string();
  AdapterConfig config = parse_adapter_config(read_config(path), where);
  check_tie(spec, config, where);
  std::vector<Target> targets = resolve_targets(spec, config, where);
  AdapterFolder folder(path, std::move(config), std::move(targets));

  const auto expected = expected_tensors(spec, folder.config_, folder.targets_);
  const std::string file = folder.file_.path().string();
  for (const auto& [name, shape] : expected) {
    const TensorView* tensor = folder.file_.find(name);
    if (tensor == nullptr) {
      throw runtime::UserError(
          say(file, ": tensor ", in_quotes(name), ": is missing, though ", kConfigName, " asks for it"));
    }
    const std::string at = say(file, ": tensor ", in_quotes(name), ": ");
    if (tensor->shape != shape) {
      throw runtime::UserError(say(at, "expected the shape ", shape_text(shape), ", found ", shape_text(tensor->shape),
                                   "; the adapter is of another base model or another rank"));
    }
    check_dtype(at, *tensor);
  }
  for (const auto& [name, tensor] : folder.file_.tensors()) {
    if (!expected.contains(name)) {
      throw runtime::UserError(say(file, ": tensor ", in_quotes(name), ": ", kConfigName, " has no place for it"));
    }
  }
  if (spec.tie_word_embeddings && !folder.config_.modules_to_save.empty()) {
    const TensorView& one = folder.tensor(saved_whole("embed_tokens"));
    const TensorView& other = folder.tensor(saved_whole("lm_head"));
    if (one.dtype != other.dtype || std::memcmp(one.bytes.data(), other.bytes.data(), one.bytes.size()) != 0) {
      throw runtime::UserError(say(file, ": embed_tokens and lm_head differ, though the base ties them"));
    }
  }
  return folder;
}

const TensorView& AdapterFolder::tensor(std::string_view saved_name) const {
  const TensorView* tensor = file_.find(saved_name);
  CADRE_CHECK(tensor != nullptr, file_.path().string(), ": ", saved_name);
  return *tensor;
}

std::string AdapterFolder::sha256() const {
  runtime::Sha256 hash;
  for (const char* name : {kConfigName, kWeightsName}) {
    hash.update(runtime::sha256_of_file(path_ / name)).update("  ").update(name).update("\n");
  }
  return hash.hex();
}

}  // namespace cadre::adapter_folder
