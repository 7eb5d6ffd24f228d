#include "comm/all_gather.h"

#include <algorithm>
#include <utility>

namespace cadre::comm {

void all_gather(Communicator& communicator, const runtime::ChunkSpace& chunks, const runtime::Placement& placement,
                std::span<float> values) {
  const int self = communicator.rank();
  Group group;
  for (std::uint64_t chunk = 0; chunk < placement.holders.size(); ++chunk) {
    const auto& holders = placement.holders[chunk];
    const auto holds = [&](int member) {
      return std::find(holders.begin(), holders.end(), static_cast<std::uint32_t>(member)) != holders.end();
    };
    const runtime::ChunkRange range = chunks.range(chunk);
    const std::span<float> piece = values.subspan(range.begin, range.size());
    const int owner = static_cast<int>(holders.front());
    if (owner != self) {
      if (!holds(self)) group.receives.push_back({owner, std::as_writable_bytes(piece)});
      continue;
    }
    for (int member = 0; member < communicator.size(); ++member) {
      if (!holds(member)) group.sends.push_back({member, std::as_bytes(piece)});
    }
  }
  communicator.wait(communicator.start(std::move(group)));
}

}  // namespace cadre::comm
