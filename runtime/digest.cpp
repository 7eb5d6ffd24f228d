#include "runtime/digest.h"

#include <cstring>

namespace cadre::runtime {
namespace {

// Odd constants with well-spread bits: the fractions of √2, √3, √5 and √7.
constexpr std::uint64_t kFactors[4] = {0x6a09e667f3bcc909, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1};

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= kFactors[0];
  x ^= x >> 29;
  x *= kFactors[1];
  return x ^ x >> 32;
}

}  // namespace

// Four independent lanes of multiply and rotate, so that a processor can keep several products under way.
std::uint64_t digest_of(std::span<const std::byte> bytes, std::uint64_t seed) {
  std::uint64_t lanes[4] = {seed, seed ^ kFactors[1], seed ^ kFactors[2], seed ^ kFactors[3]};
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  const auto take = [&](std::size_t size) {
    std::uint64_t words[4] = {};
    std::memcpy(words, at, size);
    for (int l = 0; l < 4; ++l) {
      lanes[l] = (lanes[l] ^ words[l]) * kFactors[l];
      lanes[l] ^= lanes[l] >> 31;
    }
    at += size;
    left -= size;
  };
  while (left >= 32) take(32);
  if (left > 0) take(left);
  return mix(mix(mix(mix(lanes[0]) ^ lanes[1]) ^ lanes[2]) ^ lanes[3]) ^ mix(bytes.size() + seed);
}

}  // namespace cadre::runtime
