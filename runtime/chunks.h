// The unit of state: a fixed-size piece of the flat fp32 space of trainable parameters. Where the cuts lie depends on
// nothing but the number of elements, so that sums taken chunk by chunk are the same on any number of ranks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/error.h"

namespace cadre::runtime {

// 2^16 elements are 256 KiB of fp32: small enough to balance an adapter of a few megabytes over many ranks, large
// enough that a message for each costs little.
inline constexpr std::uint64_t kChunkElements = std::uint64_t{1} << 16;

// Elements [begin, end).
struct ChunkRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  std::uint64_t size() const { return end - begin; }
  bool operator==(const ChunkRange&) const = default;
};

struct ChunkSpace {
  std::uint64_t elements = 0;
  std::uint64_t chunk_elements = kChunkElements;

  // The last chunk may be shorter; an empty space has no chunk.
  std::uint64_t count() const {
    CADRE_CHECK(chunk_elements > 0, "chunk_elements = ", chunk_elements);
    return elements / chunk_elements + (elements % chunk_elements != 0);
  }

  ChunkRange range(std::uint64_t chunk) const {
    CADRE_CHECK(chunk < count(), "chunk ", chunk, " of ", count());
    const std::uint64_t begin = chunk * chunk_elements;
    return {begin, begin + std::min(chunk_elements, elements - begin)};
  }

  std::uint64_t chunk_of(std::uint64_t element) const {
    CADRE_CHECK(element < elements, "element ", element, " of ", elements);
    return element / chunk_elements;
  }
};

}  // namespace cadre::runtime
