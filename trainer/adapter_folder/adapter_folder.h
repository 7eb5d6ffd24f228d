// A PEFT LoRA adapter on disk, checked whole against the model that it is for: adapter_config.json, and
// adapter_model.safetensors mapped, with every expected tensor there in its shape and no other.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/adapter_folder/adapter_config.h"
#include "trainer/adapter_folder/targets.h"
#include "trainer/model_folder/model_spec.h"
#include "trainer/safetensors/file.h"

namespace cadre::adapter_folder {

// Names in adapter_model.safetensors.
std::string saved_a(const std::string& module);          // [r, in_features]
std::string saved_b(const std::string& module);          // [out_features, r]
std::string saved_magnitude(const std::string& module);  // [out_features], of DoRA
// Of a module to save ("embed_tokens", "lm_head"): its whole weight, [vocab_size, hidden_size].
std::string saved_whole(std::string_view name);

// Every tensor of an adapter, with its shape. A tied embedding that is trained whole is there under both names.
std::map<std::string, std::vector<std::int64_t>> expected_tensors(const model_folder::ModelSpec& spec,
                                                                  const AdapterConfig& config,
                                                                  const std::vector<Target>& targets);

class AdapterFolder {
 public:
  // UserError for whatever is wrong, with file and tensor.
  static AdapterFolder open(const std::filesystem::path& path, const model_folder::ModelSpec& spec);

  const std::filesystem::path& path() const { return path_; }
  const AdapterConfig& config() const { return config_; }
  const std::vector<Target>& targets() const { return targets_; }
  // By saved name; check fails for one that is not expected.
  const safetensors::TensorView& tensor(std::string_view saved_name) const;
  // sha256 of what `sha256sum adapter_config.json adapter_model.safetensors` prints in the folder.
  std::string sha256() const;

 private:
  AdapterFolder(std::filesystem::path path, AdapterConfig config, std::vector<Target> targets);

  std::filesystem::path path_;
  AdapterConfig config_;
  std::vector<Target> targets_;
  safetensors::File file_;
};

}  // namespace cadre::adapter_folder
