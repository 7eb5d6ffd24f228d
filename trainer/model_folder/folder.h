// A Hugging Face model folder, checked whole before any memory is spent on it: config.json and generation_config.json
// parsed into a ModelSpec, model.safetensors or its shards mapped, every expected tensor present with its shape and a
// floating dtype. Tensors beyond the expected ones are refused, but for known harmless ones (rotary_emb.inv_freq, a
// lm_head.weight beside a tie).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/model_folder/model_spec.h"
#include "trainer/safetensors/file.h"

namespace cadre::model_folder {

// config.json (+ generation_config.json, may be empty) as transformers 4.x or 5.x writes it. `where` names the file in
// errors. UserError: unknown architecture or RoPE kind (names those known), missing or impossible sizes, values that
// change the mathematics in a way not supported.
ModelSpec parse_config(std::string_view config_json, std::string_view generation_config_json, const std::string& where);

// kNone: a run that starts from random weights (init_from_config) needs config.json alone.
enum class Weights { kRequired, kNone };

class Folder {
 public:
  // UserError for whatever is wrong, with file and tensor.
  static Folder open(const std::filesystem::path& path, Weights weights = Weights::kRequired);

  const std::filesystem::path& path() const { return path_; }
  // With weights, spec().dtype is that of the stored embedding; without, what config.json says.
  const ModelSpec& spec() const { return spec_; }
  // The bytes of an expected tensor; check fails for a name that expected_tensors() does not list.
  const safetensors::TensorView& tensor(std::string_view name) const;
  // The safetensors files in use, sorted; config.json as text.
  const std::vector<std::filesystem::path>& weight_files() const { return weight_files_; }
  const std::string& config_json() const { return config_json_; }
  // sha256 of what `sha256sum config.json FILES` prints in the folder, the weight files in name order.
  std::string sha256() const;

 private:
  std::filesystem::path path_;
  ModelSpec spec_;
  std::string config_json_;
  std::vector<std::filesystem::path> weight_files_;
  std::vector<safetensors::File> files_;
  std::map<std::string, const safetensors::TensorView*, std::less<>> tensors_;
};

}  // namespace cadre::model_folder
