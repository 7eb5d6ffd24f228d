// The modules of a model as transformers names them: what target lists and regular expressions are matched against.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/model_folder/model_spec.h"

namespace cadre::adapter_folder {

enum class ModuleKind { kLinear, kEmbedding, kHead, kOther };

struct Module {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  ModuleKind kind = ModuleKind::kOther;
  std::int64_t in_features = 0, out_features = 0;  // of kLinear
};

// In the model's order.
std::vector<Module> modules_of(const model_folder::ModelSpec& spec);

// "q_proj, k_proj, …": what an adapter can be put on.
std::vector<std::string> linear_names(const model_folder::ModelSpec& spec);

}  // namespace cadre::adapter_folder
