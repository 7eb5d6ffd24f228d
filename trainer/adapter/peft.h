// Between a run's adapter and PEFT's folder: the values under their names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/adapter_folder/adapter_config.h"
#include "trainer/adapter_folder/adapter_folder.h"
#include "trainer/model/decoder.h"

namespace cadre::adapter {

// Copies the folder's tensors over the values of the space, which was made for the same configuration.
void load_adapter(const adapter_folder::AdapterFolder& folder, model::ParameterSpace& space);

// Writes adapter_model.safetensors and adapter_config.json in `dtype` (kFloat or kBFloat16); names them. A tied
// embedding that was trained is written under both its names, as PEFT does. RunError when the disk refuses.
std::vector<std::string> write_adapter(const std::filesystem::path& folder, const adapter_folder::AdapterConfig& config,
                                       const model::ParameterSpace& space, const model_folder::ModelSpec& spec,
                                       at::ScalarType dtype);

}  // namespace cadre::adapter
