// Root-mean-square norm (Zhang and Sennrich 2019): y = x / sqrt(mean(x²) + eps) · w, w stored as w or as w − 1 (Gemma).
#pragma once

#include <cstdint>

#include "trainer/kernels/number.h"

namespace cadre::kernels {

// Rows of `width` elements; row r of x starts at x + r·x_stride, of y at y + r·width.
struct NormShape {
  std::int64_t rows = 0, width = 0, x_stride = 0;
  float eps = 0;
  bool one_plus = false;  // multiply by 1 + w
};

// inverse_rms [rows] is what the backward pass needs.
template <typename T, typename W>
void rms_norm_forward(const NormShape& shape, const T* x, const W* weight, T* y, float* inverse_rms);

// dx [rows, width] contiguous.
template <typename T, typename W>
void rms_norm_backward(const NormShape& shape, const T* x, const W* weight, const float* inverse_rms, const T* dy,
                       T* dx);

// dw[width] = Σ over rows of dy · x / rms, added up in row order.
template <typename T>
void rms_norm_weight_gradient(const NormShape& shape, const T* x, const float* inverse_rms, const T* dy, float* dw);

}  // namespace cadre::kernels
