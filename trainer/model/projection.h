// A linear layer of the decoder: one matrix for several Hugging Face modules that read the same input (q, k and v; gate
// and up), with the adapters of each.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/model/operators.h"
#include "trainer/model/parameter_space.h"

namespace cadre::model {

// A module that gets an adapter.
struct LoraTarget {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  std::int64_t in_features = 0, out_features = 0, rank = 0;
  double scaling = 1;
};

struct Projection {
  // A Hugging Face module and its rows of the matrix.
  struct Part {
    std::string module;
    std::int64_t row_begin = 0, rows = 0;
  };
  std::vector<Part> parts;
  std::int64_t in_features = 0;
  bool has_bias = false;

  // [Σ rows, in]: frozen in the compute dtype, or an fp32 leaf where it is trained.
  at::Tensor weight, bias;

  // Adapters, in the order of parts; empty where none is.
  std::vector<std::size_t> adapted_parts;
  LoraCall lora;
  at::Tensor lora_a;                  // leaf [Σ rank, in]
  std::vector<at::Tensor> lora_b;     // leaves [rows, rank]
  std::vector<at::Tensor> magnitude;  // leaves [rows]; DoRA only (Liu et al. 2024)

  at::Tensor apply(const at::Tensor& x, double lora_dropout, const kernels::DropoutKey& key) const;
  // Rows of part `index` with its adapter merged in, fp32.
  at::Tensor merged(std::size_t index) const;

 private:
  at::Tensor apply_dora(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const LoraCall& call) const;
  // W + scaling·B·A of adapter `i`, fp32, no gradient.
  at::Tensor adapted_weight(std::size_t i) const;
};

// PEFT's name of an adapter tensor: base_model.model.<module>.<suffix>.
std::string peft_name(const std::string& module, const std::string& suffix);

}  // namespace cadre::model
