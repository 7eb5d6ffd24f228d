// Causal attention inside documents, with grouped-query heads, sliding window and softcap, in tiles: memory linear in
// the length (Dao et al. 2022, FlashAttention: online softmax forward, recomputed probabilities backward).
#pragma once

#include <cstdint>
#include <span>

#include "trainer/kernels/number.h"

namespace cadre::kernels {

struct AttentionShape {
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  std::int64_t q_stride = 0, kv_stride = 0;  // elements from one row of q, or of k and v, to the next
  float scale = 1.0f;                        // multiplies q·k
  float softcap = 0.0f;                      // 0: none; else score = cap·tanh(score / cap)
  std::int64_t window = 0;                   // 0: none; w: a query sees itself and the w − 1 keys before it
};

// Rows [q_begin, q_begin + q_rows) of q attend to rows [k_begin, k_begin + k_rows) of k and v; the last query is at the
// last key (q_rows < k_rows when keys come from a cache).
struct AttentionDocument {
  std::int64_t q_begin = 0, q_rows = 0, k_begin = 0, k_rows = 0;
};

// q [rows, heads, head_dim], k and v [rows, kv_heads, head_dim] with the strides of `shape`; out [rows, heads,
// head_dim] contiguous; log_sum_exp [rows, heads] for the backward pass.
template <typename T>
void attention_forward(const AttentionShape& shape, std::span<const AttentionDocument> documents, const T* q,
                       const T* k, const T* v, T* out, float* log_sum_exp);

// What attention_forward was given and made, and the gradient of `out`.
template <typename T>
struct AttentionSaved {
  const T *q, *k, *v, *out;
  const float* log_sum_exp;
  const T* d_out;
};

// dq has the strides of q, dk and dv those of k. Every element that a document covers is written.
template <typename T>
void attention_backward(const AttentionShape& shape, std::span<const AttentionDocument> documents,
                        const AttentionSaved<T>& saved, T* dq, T* dk, T* dv);

}  // namespace cadre::kernels
