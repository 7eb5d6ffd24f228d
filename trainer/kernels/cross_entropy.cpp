#include "trainer/kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/kernels/elementary.h"
#include "trainer/kernels/first_exception.h"

namespace cadre::kernels {

namespace {

// One row; `values` and `slopes` hold a row each.
template <typename T>
void row_cross_entropy(const CrossEntropyShape& shape, bool gradient, T* row, std::int64_t target_id, float* loss,
                       float* values, float* slopes) {
  constexpr std::int64_t kLanes = 16;
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
  const float target = values[target_id];
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
  *loss = (top - target) + std::log(sum);
  if (!gradient) return;
  const float scale = shape.gradient_scale / sum;
  values[target_id] -= sum;
  if (shape.softcap > 0) {
    for (std::int64_t i = 0; i < shape.vocab; ++i) values[i] *= slopes[i];
  }
  for (std::int64_t i = 0; i < shape.vocab; ++i) row[i] = from_float<T>(values[i] * scale);
}

}  // namespace

template <typename T>
void cross_entropy(const CrossEntropyShape& shape, bool gradient, T* logits, const std::int64_t* targets,
                   float* losses) {
  FirstException failed;
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    failed.guard([&] {
      thread_local std::vector<float> scratch;
      scratch.resize(static_cast<std::size_t>(2 * shape.vocab));
      row_cross_entropy(shape, gradient, logits + r * shape.vocab, targets[r], losses + r, scratch.data(),
                        scratch.data() + shape.vocab);
    });
  }
  failed.rethrow();
}

template void cross_entropy(const CrossEntropyShape&, bool, float*, const std::int64_t*, float*);
template void cross_entropy(const CrossEntropyShape&, bool, Bf16*, const std::int64_t*, float*);

}  // namespace cadre::kernels
