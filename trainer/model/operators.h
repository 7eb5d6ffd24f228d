// The differentiable pieces of a decoder: autograd functions around trainer/kernels and LibTorch's matrix products.
// Every one takes activations as [tokens, features] in the compute dtype (fp32 or bf16).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "trainer/kernels/attention.h"
#include "trainer/kernels/dropout.h"
#include "trainer/kernels/gated_activation.h"
#include "trainer/model/rope.h"

namespace cadre::model {

// x / rms(x) · w over the last dimension; w [features] in fp32 or in x's dtype.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool one_plus);

// act(gate) · up of gate_up [tokens, 2·width] → [tokens, width].
at::Tensor gated(kernels::Gate gate, const at::Tensor& gate_up);

// What attention needs to know of a batch; shared by all layers.
struct AttentionPlan {
  std::vector<kernels::AttentionDocument> documents;
  std::vector<RopeTable> rope_tables;  // by index into ModelSpec::ropes
};
struct AttentionCall {
  std::shared_ptr<const AttentionPlan> plan;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0, rotary_dim = 0;
  std::size_t rope = 0;
  double scale = 0, softcap = 0;
  std::int64_t window = 0;
};
// Elements from one row of q, or of k and v, to the next.
struct AttentionStrides {
  std::int64_t q = 0, kv = 0;
};
kernels::AttentionShape attention_shape(const AttentionCall& call, const AttentionStrides& strides);

// qkv [tokens, (heads + 2·kv_heads)·head_dim], not yet rotated → [tokens, heads·head_dim].
at::Tensor attention(const at::Tensor& qkv, const AttentionCall& call);

// Turns queries and keys of qkv in place (no gradient): the first step of attention, for the key-value cache.
void rotate_queries_and_keys(at::Tensor& qkv, const AttentionCall& call);

// x W^T + bias; W [out, in], bias [out] or undefined, each frozen or trained.
at::Tensor base_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

// LoRA on rows [row_begin, row_begin + rows) of a projection's output.
struct LoraSlice {
  std::int64_t row_begin = 0, rows = 0, rank = 0;
  double scaling = 1;
  std::uint32_t site = 0;  // of its dropout mask
};
struct LoraCall {
  std::vector<LoraSlice> slices;
  double dropout = 0;       // 0 outside training
  kernels::DropoutKey key;  // its site is replaced by each slice's
};
// x W^T + bias, plus scaling · dropout(x) A^T B^T on each slice (Hu et al. 2021). W [out, in] frozen; a [Σ rank, in]
// holds the slices' A one below the other, b[i] [rows, rank]; a and b in fp32, as is their part of the product.
at::Tensor lora_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& a,
                       const std::vector<at::Tensor>& b, const LoraCall& call);

// dropout(x) in fp32 under `key`; p = 0 only converts.
at::Tensor keyed_dropout(const at::Tensor& x, double p, const kernels::DropoutKey& key);

// Σ cross-entropy of softmax(softcap(h W^T)) against targets, times `gradient_scale`: a scalar whose backward pass
// gives the gradient of h [rows, hidden] and, where it is trained, W [vocab, hidden]. Never holds more than a block of
// logits.
struct HeadLoss {
  at::Tensor scaled_loss;  // [] fp32
  double loss_sum = 0;     // not scaled: added up in target order in fp64
};
HeadLoss head_loss(const at::Tensor& h, const at::Tensor& weight, const std::vector<std::int64_t>& targets,
                   double softcap, double gradient_scale);

}  // namespace cadre::model
