// exp, tanh, erf-free GELU and their kin in branch-free fp32 that the compiler vectorises. The same code everywhere
// gives the same bits everywhere, which libm and vendor vector libraries do not promise.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace cadre::kernels {

// e^x to about 1 ulp; 0 below −87.3, +inf above 88.7 (range reduction by ln 2 in two parts, then a polynomial of
// degree 6: Cephes' expf). A NaN gives a NaN.
inline float exp_fp32(float x) {
  const float clamped = std::min(std::max(x, -87.3365f), 88.7228f);
  const float n = __builtin_rintf(clamped * 1.44269504088896341f);
  const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors: n may be 128, beyond what one exponent field holds.
  const auto n_int = static_cast<std::int32_t>(n);
  const std::int32_t half = n_int >> 1;
  const float scale_a = std::bit_cast<float>((half + 127) << 23);
  const float scale_b = std::bit_cast<float>((n_int - half + 127) << 23);
  const float result = p * scale_a * scale_b;
  return x != x ? x : (x < -87.3365f ? 0.0f : (x > 88.7228f ? __builtin_inff() : result));
}

// 1 / (1 + e^−x).
inline float sigmoid_fp32(float x) {
  return 1.0f / (1.0f + exp_fp32(-x));
}

// tanh x; a polynomial near 0 (Cephes' tanhf), where the quotient of exponentials loses digits.
inline float tanh_fp32(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * x + x;
  const float ax = std::min(__builtin_fabsf(x), 20.0f);
  const float large = __builtin_copysignf(1.0f - 2.0f / (exp_fp32(2.0f * ax) + 1.0f), x);
  const float result = ax < 0.625f ? small : large;
  return x != x ? x : result;
}

}  // namespace cadre::kernels
