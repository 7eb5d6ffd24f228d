// Storage types of the kernels and their conversion to the fp32 that all arithmetic uses.
#pragma once

#include <bit>
#include <cstdint>

namespace cadre::kernels {

// bfloat16 as bits; layout-compatible with c10::BFloat16.
struct Bf16 {
  std::uint16_t bits;
};

inline float to_float(float x) {
  return x;
}
inline float to_float(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

template <typename T>
T from_float(float x);
template <>
inline float from_float<float>(float x) {
  return x;
}
// Round to nearest, ties to even. A NaN stays one: its payload may change, its quiet bit is set.
template <>
inline Bf16 from_float<Bf16>(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40u;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return {static_cast<std::uint16_t>(is_nan ? nan : rounded)};
}

}  // namespace cadre::kernels
