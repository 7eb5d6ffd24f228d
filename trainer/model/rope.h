// Rotary frequencies of every kind that transformers knows, as pure functions, and their tables for a batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/model_folder/model_spec.h"

namespace cadre::model {

struct RopeFrequencies {
  std::vector<float> inverse;  // rotary_dim / 2 angles a position
  float attention_factor = 1;  // multiplies cos and sin
};

// For a document of `length` tokens: only `dynamic` (Peng et al. 2023) and `longrope` (Ding et al. 2024) depend on it.
// Formulas: transformers' modeling_rope_utils; yarn: Peng et al. 2023 (arXiv:2309.00071).
RopeFrequencies rope_frequencies(const model_folder::RopeSpec& spec, std::int64_t length);

// cos and sin [rows, rotary_dim / 2] for rows at `positions` of documents of `lengths` (of each row's document).
struct RopeTable {
  std::vector<float> cos, sin;
};
// Rows of one document: positions first … first + rows − 1 of a document that is `length` long by then.
struct RopeRows {
  std::int64_t first = 0, rows = 0, length = 0;
};
RopeTable rope_table(const model_folder::RopeSpec& spec, std::span<const RopeRows> documents);

}  // namespace cadre::model
