#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "trainer/kernels/cross_entropy.h"
#include "trainer/kernels/dropout.h"
#include "trainer/kernels/elementary.h"
#include "trainer/kernels/gated_activation.h"
#include "trainer/kernels/rms_norm.h"
#include "trainer/kernels/rotary.h"

namespace cadre::kernels {
namespace {

std::vector<float> normals(std::size_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(generator);
  return values;
}

TEST(Elementary, ExpIsWithinTwoUlp) {
  for (float x = -87.0f; x < 88.7f; x += 0.0137f) {
    const double exact = std::exp(double{x});
    EXPECT_NEAR(exp_fp32(x) / exact, 1.0, 2.5e-7) << x;
  }
  EXPECT_EQ(exp_fp32(0.0f), 1.0f);
  EXPECT_EQ(exp_fp32(-200.0f), 0.0f);
  EXPECT_EQ(exp_fp32(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_TRUE(std::isinf(exp_fp32(100.0f)));
  EXPECT_TRUE(std::isnan(exp_fp32(std::nanf(""))));
}

TEST(Elementary, TanhIsWithinAFewUlp) {
  for (float x = -12.0f; x < 12.0f; x += 0.0031f) EXPECT_NEAR(tanh_fp32(x), std::tanh(double{x}), 2.5e-7) << x;
  EXPECT_EQ(tanh_fp32(100.0f), 1.0f);
  EXPECT_TRUE(std::isnan(tanh_fp32(std::nanf(""))));
}

TEST(Number, BfloatRoundsToNearestEven) {
  EXPECT_EQ(from_float<Bf16>(1.0f).bits, 0x3f80);
  EXPECT_EQ(from_float<Bf16>(std::bit_cast<float>(0x3f808000u)).bits, 0x3f80);  // a tie goes to even
  EXPECT_EQ(from_float<Bf16>(std::bit_cast<float>(0x3f818000u)).bits, 0x3f82);
  EXPECT_EQ(from_float<Bf16>(std::bit_cast<float>(0x3f808001u)).bits, 0x3f81);
  EXPECT_TRUE(std::isinf(to_float(from_float<Bf16>(std::numeric_limits<float>::infinity()))));
  EXPECT_TRUE(std::isnan(to_float(from_float<Bf16>(std::bit_cast<float>(0x7f800001u)))));
}

TEST(RmsNorm, EqualsItsDefinitionForwardAndBack) {
  for (const bool one_plus : {false, true}) {
    const NormShape shape{5, 37, 37, 1e-5f, one_plus};
    const std::vector<float> x = normals(5 * 37, 1), w = normals(37, 2), dy = normals(5 * 37, 3);
    std::vector<float> y(x.size()), inverse(5), dx(x.size()), dw(37);
    rms_norm_forward(shape, x.data(), w.data(), y.data(), inverse.data());
    rms_norm_backward(shape, x.data(), w.data(), inverse.data(), dy.data(), dx.data());
    rms_norm_weight_gradient(shape, x.data(), inverse.data(), dy.data(), dw.data());
    std::vector<double> expected_dw(37);
    for (std::size_t r = 0; r < 5; ++r) {
      double squares = 0, dot = 0;
      for (std::size_t i = 0; i < 37; ++i) squares += double{x[r * 37 + i]} * x[r * 37 + i];
      const double inv = 1 / std::sqrt(squares / 37 + 1e-5);
      const auto weight = [&](std::size_t i) { return double{w[i]} + (one_plus ? 1 : 0); };
      for (std::size_t i = 0; i < 37; ++i) dot += dy[r * 37 + i] * weight(i) * x[r * 37 + i];
      for (std::size_t i = 0; i < 37; ++i) {
        const std::size_t at = r * 37 + i;
        EXPECT_NEAR(y[at], x[at] * inv * weight(i), 1e-5);
        EXPECT_NEAR(dx[at], inv * (dy[at] * weight(i) - x[at] * dot * inv * inv / 37), 1e-5);
        expected_dw[i] += double{dy[at]} * x[at] * inv;
      }
    }
    for (std::size_t i = 0; i < 37; ++i) EXPECT_NEAR(dw[i], expected_dw[i], 1e-5);
  }
}

// The slope that the backward pass uses is that of the forward pass.
TEST(GatedActivation, BackwardIsTheSlopeOfForward) {
  for (const Gate gate : {Gate::kSilu, Gate::kGelu, Gate::kGeluTanh}) {
    const std::vector<float> gate_up = normals(2 * 40, 4), dy(40, 1.0f);
    std::vector<float> d(80), low(40), high(40);
    gated_backward(gate, 1, 40, gate_up.data(), dy.data(), d.data());
    constexpr float kStep = 1e-2f;
    for (std::size_t i = 0; i < 80; ++i) {
      std::vector<float> moved = gate_up;
      moved[i] += kStep;
      gated_forward(gate, 1, 40, moved.data(), high.data());
      moved[i] -= 2 * kStep;
      gated_forward(gate, 1, 40, moved.data(), low.data());
      const double slope =
          (std::accumulate(high.begin(), high.end(), 0.0) - std::accumulate(low.begin(), low.end(), 0.0)) / (2 * kStep);
      EXPECT_NEAR(d[i], slope, 2e-3) << "gate " << static_cast<int>(gate) << " element " << i;
    }
  }
}

TEST(CrossEntropy, EqualsItsDefinition) {
  for (const float cap : {0.0f, 3.0f}) {
    const CrossEntropyShape shape{3, 53, cap, 0.25f};
    std::vector<float> logits = normals(3 * 53, 5);
    const std::vector<float> before = logits;
    const std::vector<std::int64_t> targets{0, 52, 17};
    std::vector<float> losses(3);
    cross_entropy(shape, true, logits.data(), targets.data(), losses.data());
    for (std::size_t r = 0; r < 3; ++r) {
      const auto value = [&](std::size_t i) {
        const double x = before[r * 53 + i];
        return cap > 0 ? cap * std::tanh(x / cap) : x;
      };
      double sum = 0;
      for (std::size_t i = 0; i < 53; ++i) sum += std::exp(value(i));
      const auto target = static_cast<std::size_t>(targets[r]);
      EXPECT_NEAR(losses[r], std::log(sum) - value(target), 1e-5);
      for (std::size_t i = 0; i < 53; ++i) {
        const double t = value(i) / (cap > 0 ? cap : 1);
        const double slope = cap > 0 ? 1 - t * t : 1;
        const double expected = 0.25 * slope * (std::exp(value(i)) / sum - (i == target ? 1 : 0));
        EXPECT_NEAR(logits[r * 53 + i], expected, 1e-6);
      }
    }
  }
}

TEST(Rotary, TurnsAndTurnsBack) {
  const std::vector<float> x = normals(2 * 3 * 8, 6);
  std::vector<float> y = x, cos(2 * 3), sin(2 * 3);
  for (std::size_t i = 0; i < 6; ++i)
    cos[i] = std::cos(0.3f * static_cast<float>(i)), sin[i] = std::sin(0.3f * static_cast<float>(i));
  const RotaryShape shape{2, 3, 8, 6, 24};  // dimensions 6 and 7 stay
  rotate(shape, cos.data(), sin.data(), false, y.data());
  EXPECT_FLOAT_EQ(y[24 + 6], x[24 + 6]);
  EXPECT_NEAR(y[24], x[24] * cos[3] - x[24 + 3] * sin[3], 1e-6);
  EXPECT_NEAR(y[24 + 3], x[24 + 3] * cos[3] + x[24] * sin[3], 1e-6);
  rotate(shape, cos.data(), sin.data(), true, y.data());
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i], 1e-6);
}

TEST(Dropout, IsAFunctionOfItsKeyAndKeepsTheRightShare) {
  const std::vector<float> ones(100001, 1.0f);
  const auto run = [&](const DropoutKey& key) {
    std::vector<float> y(ones.size());
    dropout(key, 0.3f, static_cast<std::int64_t>(ones.size()), ones.data(), y.data());
    return y;
  };
  const DropoutKey key{.seed = 1, .step = 2, .micro_batch = 3, .site = 4};
  const std::vector<float> first = run(key);
  EXPECT_EQ(first, run(key));
  for (const DropoutKey other : {DropoutKey{2, 2, 3, 4}, {1, 3, 3, 4}, {1, 2, 4, 4}, {1, 2, 3, 5}})
    EXPECT_NE(first, run(other));
  const double mean = std::accumulate(first.begin(), first.end(), 0.0) / static_cast<double>(first.size());
  EXPECT_NEAR(mean, 1.0, 0.01);
  for (const float value : first) EXPECT_TRUE(value == 0.0f || value == 1.0f / 0.7f);
}

}  // namespace
}  // namespace cadre::kernels
