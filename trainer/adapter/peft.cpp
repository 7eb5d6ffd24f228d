#include "trainer/adapter/peft.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/model/stored_tensor.h"
#include "trainer/safetensors/writer.h"

namespace cadre::adapter {
namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";

// The parameter whose value a saved name holds: of a tied embedding one tensor is trained and two names are saved.
const model::Parameter& parameter_of(const model::ParameterSpace& space, const std::string& saved_name) {
  if (const model::Parameter* parameter = space.find(saved_name)) return *parameter;
  const model::Parameter* tied = saved_name == adapter_folder::saved_whole("lm_head")
                                     ? space.find(adapter_folder::saved_whole("embed_tokens"))
                                     : nullptr;
  CADRE_CHECK(tied != nullptr, "no parameter for ", saved_name);
  return *tied;
}

}  // namespace

adapter_folder::AdapterConfig config_of(const config::Config& config) {
  using adapter_folder::ModuleSelection;
  adapter_folder::AdapterConfig adapter;
  adapter.r = config.lora_r;
  adapter.lora_alpha = config.lora_alpha;
  adapter.lora_dropout = config.lora_dropout;
  // A YAML list names modules; one string is a regular expression or "all-linear".
  adapter.target_modules = config.lora_target_is_list ? ModuleSelection::of_names(config.lora_target_modules)
                           : config.lora_target_modules.empty()
                               ? ModuleSelection::of_pattern("all-linear")
                               : ModuleSelection::of_pattern(config.lora_target_modules.front());
  adapter.modules_to_save = config.lora_modules_to_save;
  adapter.use_rslora = config.use_rslora;
  adapter.use_dora = config.use_dora;
  adapter.init_lora_weights = config.init_lora_weights;
  return adapter;
}

model::Trained trained_by(const adapter_folder::AdapterConfig& config, const model_folder::ModelSpec& spec) {
  model::Trained trained;
  trained.method = model::Trained::Method::kAdapter;
  for (const adapter_folder::Target& target : adapter_folder::resolve_targets(spec, config, "lora_target_modules")) {
    trained.targets.push_back({target.module, target.in_features, target.out_features, target.r, target.scaling});
  }
  trained.use_dora = config.use_dora;
  trained.modules_to_save = config.modules_to_save;
  return trained;
}

void load_adapter(const adapter_folder::AdapterFolder& folder, model::ParameterSpace& space) {
  for (const model::Parameter& parameter : space.parameters()) {
    space.value_of(parameter).copy_(model::tensor_of(folder.tensor(parameter.name)));
  }
}

std::vector<std::string> write_adapter(const std::filesystem::path& folder, const adapter_folder::AdapterConfig& config,
                                       const model::ParameterSpace& space, const model_folder::ModelSpec& spec,
                                       at::ScalarType dtype) {
  const std::vector<adapter_folder::Target> targets = adapter_folder::resolve_targets(spec, config);
  const adapter_folder::AdapterConfig saved = adapter_folder::saved_config(spec, config, targets);
  std::vector<at::Tensor> kept;
  std::vector<safetensors::NamedTensor> tensors;
  for (const auto& [name, shape] : adapter_folder::expected_tensors(spec, saved, targets)) {
    kept.push_back(space.value_of(parameter_of(space, name)).to(dtype).contiguous());
    tensors.push_back({name, model::view_of(kept.back())});
  }
  safetensors::write(folder / kTensorFile, tensors);
  runtime::write_file_atomically(folder / kConfigFile, adapter_folder::print_adapter_config(saved));
  return {kTensorFile, kConfigFile};
}

}  // namespace cadre::adapter
