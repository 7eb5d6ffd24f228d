// The adapter that a configuration asks for, and what a decoder trains for it. Needs no tensors.
#pragma once

#include "trainer/adapter_folder/adapter_config.h"
#include "trainer/config/config.h"
#include "trainer/model/decoder.h"

namespace cadre::adapter {

adapter_folder::AdapterConfig config_of(const config::Config& config);

// Its targets resolved against the model. UserError as resolve_targets().
model::Trained trained_by(const adapter_folder::AdapterConfig& config, const model_folder::ModelSpec& spec);

}  // namespace cadre::adapter
