#include "trainer/optimizer/update.h"

#include <algorithm>
#include <cmath>

#include "runtime/error.h"

namespace cadre::optimizer {
namespace {

// Elements below which one thread is faster.
constexpr std::int64_t kParallel = 1 << 15;

}  // namespace

void update(const AdamW& adamw, const Rate& rate, std::span<const float> gradient, std::span<float> parameter,
            std::span<float> first_moment, std::span<float> second_moment) {
  const auto n = static_cast<std::int64_t>(parameter.size());
  CADRE_CHECK(gradient.size() == parameter.size() && first_moment.size() == parameter.size() &&
                  second_moment.size() == parameter.size(),
              n, " parameters");
  const double correction1 = 1 - std::pow(adamw.beta1, static_cast<double>(rate.step));
  const double correction2 = 1 - std::pow(adamw.beta2, static_cast<double>(rate.step));
  const auto scale = static_cast<float>(rate.gradient_scale);
  const auto keep = static_cast<float>(1 - rate.learning_rate * rate.weight_decay);
  const auto weight1 = static_cast<float>(1 - adamw.beta1);
  const auto beta2 = static_cast<float>(adamw.beta2), weight2 = static_cast<float>(1 - adamw.beta2);
  const auto root2 = static_cast<float>(std::sqrt(correction2)), epsilon = static_cast<float>(adamw.epsilon);
  const auto step_size = static_cast<float>(rate.learning_rate / correction1);
  const float* g_in = gradient.data();
  float *p = parameter.data(), *m = first_moment.data(), *v = second_moment.data();
#pragma omp parallel for simd schedule(static) if (n > kParallel)
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = g_in[i] * scale;
    m[i] += weight1 * (g - m[i]);
    v[i] = v[i] * beta2 + weight2 * g * g;
    const float denominator = std::sqrt(v[i]) / root2 + epsilon;
    p[i] = p[i] * keep - step_size * (m[i] / denominator);
  }
}

void update(const Sgd& sgd, const Rate& rate, std::span<const float> gradient, std::span<float> parameter,
            std::span<float> momentum_buffer) {
  const auto n = static_cast<std::int64_t>(parameter.size());
  CADRE_CHECK(gradient.size() == parameter.size() && momentum_buffer.size() == parameter.size(), n, " parameters");
  const auto scale = static_cast<float>(rate.gradient_scale), decay = static_cast<float>(rate.weight_decay);
  const auto momentum = static_cast<float>(sgd.momentum), lr = static_cast<float>(rate.learning_rate);
  const float* g_in = gradient.data();
  float *p = parameter.data(), *m = momentum_buffer.data();
#pragma omp parallel for simd schedule(static) if (n > kParallel)
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = g_in[i] * scale + decay * p[i];
    m[i] = momentum * m[i] + g;
    p[i] -= lr * m[i];
  }
}

double sum_of_squares(std::span<const float> values) {
  double lanes[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    for (std::size_t l = 0; l < 8; ++l) {
      const double x = values[i + l];
      lanes[l] += x * x;
    }
  }
  for (; i < values.size(); ++i) lanes[i % 8] += static_cast<double>(values[i]) * values[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double clip_scale(double norm, double max_norm) {
  if (max_norm <= 0) return 1;
  return std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace cadre::optimizer
