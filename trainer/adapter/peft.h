// Between a run's adapter and PEFT's folder: what is trained, under which names, with which values.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/adapter_folder/adapter_config.h"
#include "trainer/adapter_folder/adapter_folder.h"
#include "trainer/config/config.h"
#include "trainer/model/decoder.h"

namespace cadre::adapter {

// The adapter that a configuration asks for.
adapter_folder::AdapterConfig config_of(const config::Config& config);

// What a decoder trains for an adapter: its targets resolved against the model. UserError as resolve_targets().
model::Trained trained_by(const adapter_folder::AdapterConfig& config, const model_folder::ModelSpec& spec);

// Copies the folder's tensors over the values of the space, which was made for the same configuration.
void load_adapter(const adapter_folder::AdapterFolder& folder, model::ParameterSpace& space);

// Writes adapter_model.safetensors and adapter_config.json in `dtype` (kFloat or kBFloat16); names them. A tied
// embedding that was trained is written under both its names, as PEFT does. RunError when the disk refuses.
std::vector<std::string> write_adapter(const std::filesystem::path& folder, const adapter_folder::AdapterConfig& config,
                                       const model::ParameterSpace& space, const model_folder::ModelSpec& spec,
                                       at::ScalarType dtype);

}  // namespace cadre::adapter
