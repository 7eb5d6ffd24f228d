#include "trainer/data/packing.h"

#include <algorithm>
#include <array>

#include "runtime/error.h"

namespace cadre::data {

std::vector<std::vector<std::uint32_t>> pack(std::span<const std::uint32_t> order,
                                             std::span<const std::uint32_t> row_lengths, std::int64_t capacity) {
  struct Open {
    std::int64_t room;
    std::size_t sequence;
  };
  std::array<Open, kOpenSequences> open;
  std::size_t open_count = 0;
  std::vector<std::vector<std::uint32_t>> sequences;

  for (const std::uint32_t row : order) {
    const std::int64_t length = row_lengths[row];
    CADRE_CHECK(length <= capacity, "row ", row, " has ", length, " tokens, a sequence holds ", capacity);
    Open* best = nullptr;
    Open* fullest = open.data();
    for (std::size_t i = 0; i < open_count; ++i) {
      if (open[i].room >= length && (!best || open[i].room < best->room)) best = &open[i];
      if (open[i].room < fullest->room) fullest = &open[i];
    }
    if (!best) {
      best = open_count < kOpenSequences ? &open[open_count++] : fullest;
      *best = {capacity, sequences.size()};
      sequences.emplace_back();
    }
    best->room -= length;
    sequences[best->sequence].push_back(row);
    if (best->room == 0) *best = open[--open_count];
  }
  return sequences;
}

}  // namespace cadre::data
