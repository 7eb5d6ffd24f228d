// Rotary position embedding (Su et al. 2021), half-split layout of Hugging Face: dimension i turns with i + rotary/2.
#pragma once

#include <cstdint>

#include "trainer/kernels/number.h"

namespace cadre::kernels {

// x [rows, heads, head_dim] with `row_stride` elements from row to row; the first `rotary_dim` dimensions of each head
// turn by the angle whose cos and sin are in the tables [rows, rotary_dim / 2] (already multiplied by the attention
// factor of yarn and longrope). In place. `inverse` turns back: the backward pass.
struct RotaryShape {
  std::int64_t rows = 0, heads = 0, head_dim = 0, rotary_dim = 0, row_stride = 0;
};
template <typename T>
void rotate(const RotaryShape& shape, const float* cos, const float* sin, bool inverse, T* x);

}  // namespace cadre::kernels
