#include "trainer/kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

namespace cadre::kernels {
namespace {

// Rows below which one thread is faster than waking the others.
constexpr std::int64_t kParallelElements = 1 << 15;

// A sum in eight interleaved lanes: a fixed order that the compiler can vectorise.
template <typename F>
float lane_sum(std::int64_t n, F element) {
  float lanes[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int l = 0; l < 8; ++l) lanes[l] += element(i + l);
  }
  for (; i < n; ++i) lanes[i % 8] += element(i);
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace

template <typename T, typename W>
void rms_norm_forward(const NormShape& shape, const T* x, const W* weight, T* y, float* inverse_rms) {
  const float offset = shape.one_plus ? 1.0f : 0.0f;
#pragma omp parallel for schedule(static) if (shape.rows * shape.width > kParallelElements)
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const T* in = x + r * shape.x_stride;
    T* out = y + r * shape.width;
    const float squares = lane_sum(shape.width, [in](std::int64_t i) { return to_float(in[i]) * to_float(in[i]); });
    const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(shape.width) + shape.eps);
    inverse_rms[r] = inverse;
    for (std::int64_t i = 0; i < shape.width; ++i) {
      out[i] = from_float<T>(to_float(in[i]) * inverse * (offset + to_float(weight[i])));
    }
  }
}

template <typename T, typename W>
void rms_norm_backward(const NormShape& shape, const T* x, const W* weight, const float* inverse_rms, const T* dy,
                       T* dx) {
  const float offset = shape.one_plus ? 1.0f : 0.0f;
#pragma omp parallel for schedule(static) if (shape.rows * shape.width > kParallelElements)
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const T* in = x + r * shape.x_stride;
    const T* g = dy + r * shape.width;
    T* out = dx + r * shape.width;
    const float inverse = inverse_rms[r];
    const float dot = lane_sum(
        shape.width, [=](std::int64_t i) { return to_float(g[i]) * (offset + to_float(weight[i])) * to_float(in[i]); });
    const float mean = dot * inverse * inverse / static_cast<float>(shape.width);
    for (std::int64_t i = 0; i < shape.width; ++i) {
      out[i] = from_float<T>(inverse * (to_float(g[i]) * (offset + to_float(weight[i])) - to_float(in[i]) * mean));
    }
  }
}

template <typename T>
void rms_norm_weight_gradient(const NormShape& shape, const T* x, const float* inverse_rms, const T* dy, float* dw) {
  constexpr std::int64_t kColumns = 64;
  const std::int64_t blocks = (shape.width + kColumns - 1) / kColumns;
#pragma omp parallel for schedule(static) if (shape.rows * shape.width > kParallelElements)
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t begin = b * kColumns, end = std::min(shape.width, begin + kColumns);
    std::fill(dw + begin, dw + end, 0.0f);
    for (std::int64_t r = 0; r < shape.rows; ++r) {
      const T* in = x + r * shape.x_stride;
      const T* g = dy + r * shape.width;
      for (std::int64_t i = begin; i < end; ++i) dw[i] += to_float(g[i]) * to_float(in[i]) * inverse_rms[r];
    }
  }
}

template void rms_norm_forward(const NormShape&, const float*, const float*, float*, float*);
template void rms_norm_forward(const NormShape&, const Bf16*, const Bf16*, Bf16*, float*);
template void rms_norm_forward(const NormShape&, const Bf16*, const float*, Bf16*, float*);
template void rms_norm_backward(const NormShape&, const float*, const float*, const float*, const float*, float*);
template void rms_norm_backward(const NormShape&, const Bf16*, const Bf16*, const float*, const Bf16*, Bf16*);
template void rms_norm_backward(const NormShape&, const Bf16*, const float*, const float*, const Bf16*, Bf16*);
template void rms_norm_weight_gradient(const NormShape&, const float*, const float*, const float*, float*);
template void rms_norm_weight_gradient(const NormShape&, const Bf16*, const float*, const Bf16*, float*);

}  // namespace cadre::kernels
