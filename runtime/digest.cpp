#include "runtime/digest.h"

#include <cstring>

namespace cadre::runtime {
namespace {

// wyhash's odd constants with as many ones as zeros.
constexpr std::uint64_t kSecret[8] = {0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3,
                                      0x1d8e4e27c47d124f, 0xeb44accab455d165, 0x2d358dccaa6c78a5, 0x8bb84b93962eacc9};

__extension__ using Product = unsigned __int128;

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const Product product = static_cast<Product>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load(const std::byte* at) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

// 64-bit products folded, after wyhash, in four lanes that do not wait for each other.
std::uint64_t digest_of(std::span<const std::byte> bytes, std::uint64_t seed) {
  const std::uint64_t start = fold(seed ^ kSecret[0], kSecret[1]);
  std::uint64_t lanes[4] = {start ^ kSecret[0], start ^ kSecret[1], start ^ kSecret[2], start ^ kSecret[3]};
  const auto mix = [&](const std::byte* block) {
    for (int i = 0; i < 4; ++i) {
      lanes[i] = fold(load(block + 16 * i) ^ lanes[i], load(block + 16 * i + 8) ^ kSecret[4 + i]);
    }
  };
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 64; left -= 64, at += 64) mix(at);
  if (left > 0) {
    std::byte last[64] = {};
    std::memcpy(last, at, left);
    mix(last);
  }
  const std::uint64_t halves[2] = {fold(lanes[0] ^ kSecret[4], lanes[1] ^ kSecret[5]),
                                   fold(lanes[2] ^ kSecret[6], lanes[3] ^ kSecret[7])};
  return fold(halves[0] ^ kSecret[0] ^ bytes.size(), halves[1] ^ kSecret[1]);
}

}  // namespace cadre::runtime
