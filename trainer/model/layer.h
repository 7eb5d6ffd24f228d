// The weights of one decoder layer, and how they are declared and filled.
#pragma once

#include "trainer/model/decoder.h"

namespace cadre::model {

struct Decoder::Layer {
  std::int64_t sliding_window = 0;
  std::size_t rope = 0;
  Projection qkv, o, gate_up, down;
  at::Tensor input_norm, mlp_norm;                // before attention, before the MLP
  at::Tensor post_attention_norm, post_mlp_norm;  // after them; undefined where the architecture has none
  at::Tensor q_norm, k_norm;
};

}  // namespace cadre::model
