#include "trainer/kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/kernels/elementary.h"

namespace cadre::kernels {

template <typename T>
void cross_entropy(const CrossEntropyShape& shape, bool gradient, T* logits, const std::int64_t* targets,
                   float* losses) {
  constexpr std::int64_t kLanes = 16;
#pragma omp parallel
  {
    std::vector<float> values(shape.vocab), slopes(shape.softcap > 0 ? shape.vocab : 0);
#pragma omp for schedule(static)
    for (std::int64_t r = 0; r < shape.rows; ++r) {
      T* row = logits + r * shape.vocab;
      for (std::int64_t i = 0; i < shape.vocab; ++i) values[i] = to_float(row[i]);
      if (shape.softcap > 0) {
        for (std::int64_t i = 0; i < shape.vocab; ++i) {
          const float t = tanh_fp32(values[i] / shape.softcap);
          values[i] = shape.softcap * t;
          slopes[i] = 1.0f - t * t;
        }
      }
      // Lanes fix the order of the sum; a NaN anywhere reaches the sum and so the loss.
      float highest[kLanes], sums[kLanes] = {};
      std::fill(highest, highest + kLanes, -std::numeric_limits<float>::infinity());
      const std::int64_t whole = shape.vocab / kLanes * kLanes;
      for (std::int64_t i = 0; i < whole; i += kLanes) {
        for (std::int64_t l = 0; l < kLanes; ++l) highest[l] = std::max(highest[l], values[i + l]);
      }
      for (std::int64_t i = whole; i < shape.vocab; ++i) highest[0] = std::max(highest[0], values[i]);
      const float top = *std::max_element(highest, highest + kLanes);
      const float target = values[targets[r]];
      for (std::int64_t i = 0; i < whole; i += kLanes) {
        for (std::int64_t l = 0; l < kLanes; ++l) {
          values[i + l] = exp_fp32(values[i + l] - top);
          sums[l] += values[i + l];
        }
      }
      for (std::int64_t i = whole; i < shape.vocab; ++i) {
        values[i] = exp_fp32(values[i] - top);
        sums[0] += values[i];
      }
      float sum = 0.0f;
      for (const float lane : sums) sum += lane;
      losses[r] = (top - target) + std::log(sum);
      if (!gradient) continue;
      const float scale = shape.gradient_scale / sum;
      values[targets[r]] -= sum;
      if (shape.softcap > 0) {
        for (std::int64_t i = 0; i < shape.vocab; ++i) values[i] *= slopes[i];
      }
      for (std::int64_t i = 0; i < shape.vocab; ++i) row[i] = from_float<T>(values[i] * scale);
    }
  }
}

template void cross_entropy(const CrossEntropyShape&, bool, float*, const std::int64_t*, float*);
template void cross_entropy(const CrossEntropyShape&, bool, Bf16*, const std::int64_t*, float*);

}  // namespace cadre::kernels
