// The RoPE fields of a config.json, in all their spellings.
#pragma once

#include <vector>

#include "trainer/model_folder/family.h"
#include "trainer/model_folder/json_fields.h"
#include "trainer/model_folder/model_spec.h"

namespace cadre::model_folder {

// One spec for all layers; for Gemma 3 two: full attention, sliding attention. `spec` holds the sizes already.
// UserError as parse_config.
std::vector<RopeSpec> parse_ropes(const JsonFields& config, const Family& family, const ModelSpec& spec);

}  // namespace cadre::model_folder
