#include "trainer/adapter/targets.h"

#include "trainer/adapter_folder/adapter_folder.h"

namespace cadre::adapter {

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

}  // namespace cadre::adapter
