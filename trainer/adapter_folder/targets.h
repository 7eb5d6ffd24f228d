// Which modules an adapter configuration adapts, and how strongly: PEFT's rules, with errors where PEFT is silent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/adapter_folder/adapter_config.h"
#include "trainer/model_folder/model_spec.h"

namespace cadre::adapter_folder {

struct Target {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  std::int64_t in_features = 0, out_features = 0;
  std::int64_t r = 0;
  double alpha = 0;
  double scaling = 0;  // alpha / r, or alpha / √r with rsLoRA

  bool operator==(const Target&) const = default;
};

// In the model's order. `where` begins error messages: a file, or the option's name. UserError: nothing matches, an
// entry of a list matches nothing, or what matches cannot be adapted.
std::vector<Target> resolve_targets(const model_folder::ModelSpec& spec, const AdapterConfig& config,
                                    const std::string& where = "adapter");

// What to write as target_modules, so that every reader adapts just these modules: the last parts of their names where
// that selects no other, whole names where it would; sorted.
std::vector<std::string> minimal_target_list(const model_folder::ModelSpec& spec, const std::vector<Target>& targets);

// The configuration as it is saved beside tensors for these targets: "all-linear" and the architecture's default
// written out, and a tie declared where one tensor is trained for both ends.
AdapterConfig saved_config(const model_folder::ModelSpec& spec, AdapterConfig config,
                           const std::vector<Target>& targets);

}  // namespace cadre::adapter_folder
