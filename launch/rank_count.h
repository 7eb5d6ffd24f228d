// How many ranks a run on this machine gets where nobody says: a pure function.
#pragma once

#include <cstdint>

namespace cadre::launch {

struct RankNeeds {
  std::uint64_t threads = 1;             // of a rank
  std::uint64_t memory_bytes = 0;        // of a rank, roughly
  std::uint64_t most_micro_batches = 1;  // in a step: more ranks than that would idle
};

// One a core (with several threads, so many cores), as far as memory and work go; at least one.
std::uint32_t default_ranks(std::uint64_t cores, std::uint64_t free_memory_bytes, const RankNeeds& needs);

}  // namespace cadre::launch
