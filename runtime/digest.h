// A quick 64-bit hash of bytes in memory: what two ranks hold is compared by it, and what travels between them checked.
// Against bits that flipped, not against people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cadre::runtime {

// Depends on every byte, on their order, their number and on `seed`. Tens of GB/s on one core while they are in its
// cache.
std::uint64_t digest_of(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace cadre::runtime
