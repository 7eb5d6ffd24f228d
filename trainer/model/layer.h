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

  // Whether a parameter of this layer is trained.
  bool trains() const {
    const auto projection_trains = [](const Projection& p) {
      return p.weight.requires_grad() || !p.adapted_parts.empty();
    };
    return projection_trains(qkv) || projection_trains(o) || projection_trains(gate_up) || projection_trains(down) ||
           input_norm.requires_grad();
  }
};

}  // namespace cadre::model
