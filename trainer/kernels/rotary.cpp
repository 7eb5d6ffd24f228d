#include "trainer/kernels/rotary.h"

namespace cadre::kernels {

template <typename T>
void rotate(const RotaryShape& shape, const float* cos, const float* sin, bool inverse, T* x) {
  const std::int64_t half = shape.rotary_dim / 2;
  const float sign = inverse ? -1.0f : 1.0f;
#pragma omp parallel for schedule(static) if (shape.rows * shape.heads * shape.head_dim > (1 << 15))
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const float* c = cos + r * half;
    const float* s = sin + r * half;
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      T* first = x + r * shape.row_stride + h * shape.head_dim;
      T* second = first + half;
      for (std::int64_t i = 0; i < half; ++i) {
        const float a = to_float(first[i]), b = to_float(second[i]);
        first[i] = from_float<T>(a * c[i] - b * (sign * s[i]));
        second[i] = from_float<T>(b * c[i] + a * (sign * s[i]));
      }
    }
  }
}

template void rotate(const RotaryShape&, const float*, const float*, bool, float*);
template void rotate(const RotaryShape&, const float*, const float*, bool, Bf16*);

}  // namespace cadre::kernels
