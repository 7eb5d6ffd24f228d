#include "launch/rank_count.h"

#include <algorithm>

namespace cadre::launch {

std::uint32_t default_ranks(std::uint64_t cores, std::uint64_t free_memory_bytes, const RankNeeds& needs) {
  std::uint64_t ranks = cores / std::max<std::uint64_t>(1, needs.threads);
  if (needs.memory_bytes > 0) ranks = std::min(ranks, free_memory_bytes / needs.memory_bytes);
  ranks = std::min(ranks, needs.most_micro_batches);
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, ranks));
}

}  // namespace cadre::launch
