#include "trainer/kernels/gated_activation.h"

#include <cmath>

#include "trainer/kernels/elementary.h"

namespace cadre::kernels {
namespace {

constexpr std::int64_t kParallelElements = 1 << 14;

struct ValueAndSlope {
  float value, slope;
};

struct Silu {
  static ValueAndSlope at(float x) {
    const float s = sigmoid_fp32(x);
    return {x * s, s * (1.0f + x * (1.0f - s))};
  }
};

// 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))): Hendrycks and Gimpel 2016.
struct GeluTanh {
  static ValueAndSlope at(float x) {
    constexpr float kScale = 0.7978845608028654f, kCubic = 0.044715f;
    const float t = tanh_fp32(kScale * (x + kCubic * x * x * x));
    const float slope = 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kScale * (1.0f + 3.0f * kCubic * x * x);
    return {0.5f * x * (1.0f + t), slope};
  }
};

struct Gelu {
  static ValueAndSlope at(float x) {
    const float cdf = 0.5f * (1.0f + std::erf(x * 0.70710678118654752f));
    return {x * cdf, cdf + x * 0.3989422804014327f * exp_fp32(-0.5f * x * x)};
  }
};

template <typename Act, typename T>
void forward(std::int64_t rows, std::int64_t width, const T* gate_up, T* y) {
#pragma omp parallel for schedule(static) if (rows * width > kParallelElements)
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* gate = gate_up + r * 2 * width;
    const T* up = gate + width;
    T* out = y + r * width;
    for (std::int64_t i = 0; i < width; ++i) out[i] = from_float<T>(Act::at(to_float(gate[i])).value * to_float(up[i]));
  }
}

template <typename Act, typename T>
void backward(std::int64_t rows, std::int64_t width, const T* gate_up, const T* dy, T* d_gate_up) {
#pragma omp parallel for schedule(static) if (rows * width > kParallelElements)
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* gate = gate_up + r * 2 * width;
    const T* up = gate + width;
    const T* g = dy + r * width;
    T* d_gate = d_gate_up + r * 2 * width;
    T* d_up = d_gate + width;
    for (std::int64_t i = 0; i < width; ++i) {
      const ValueAndSlope a = Act::at(to_float(gate[i]));
      d_gate[i] = from_float<T>(to_float(g[i]) * to_float(up[i]) * a.slope);
      d_up[i] = from_float<T>(to_float(g[i]) * a.value);
    }
  }
}

}  // namespace

template <typename T>
void gated_forward(Gate gate, std::int64_t rows, std::int64_t width, const T* gate_up, T* y) {
  switch (gate) {
    case Gate::kSilu:
      return forward<Silu>(rows, width, gate_up, y);
    case Gate::kGelu:
      return forward<Gelu>(rows, width, gate_up, y);
    case Gate::kGeluTanh:
      return forward<GeluTanh>(rows, width, gate_up, y);
  }
}

template <typename T>
void gated_backward(Gate gate, std::int64_t rows, std::int64_t width, const T* gate_up, const T* dy, T* d_gate_up) {
  switch (gate) {
    case Gate::kSilu:
      return backward<Silu>(rows, width, gate_up, dy, d_gate_up);
    case Gate::kGelu:
      return backward<Gelu>(rows, width, gate_up, dy, d_gate_up);
    case Gate::kGeluTanh:
      return backward<GeluTanh>(rows, width, gate_up, dy, d_gate_up);
  }
}

template void gated_forward(Gate, std::int64_t, std::int64_t, const float*, float*);
template void gated_forward(Gate, std::int64_t, std::int64_t, const Bf16*, Bf16*);
template void gated_backward(Gate, std::int64_t, std::int64_t, const float*, const float*, float*);
template void gated_backward(Gate, std::int64_t, std::int64_t, const Bf16*, const Bf16*, Bf16*);

}  // namespace cadre::kernels
