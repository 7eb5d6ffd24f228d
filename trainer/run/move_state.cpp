#include "trainer/run/move_state.h"

#include <algorithm>
#include <optional>

#include "runtime/error.h"

namespace cadre::run {
namespace {

// The holders of `chunk` that are in the new view, as its positions, the owner first.
std::vector<std::uint32_t> holders_left(const Residency& residency, const runtime::View& view, std::uint64_t chunk) {
  std::vector<std::uint32_t> left;
  for (const std::uint32_t holder : residency.placement.holders.at(chunk)) {
    const runtime::Member& member = residency.view.members.at(holder);
    if (view.has(member)) left.push_back(static_cast<std::uint32_t>(*view.index_of(member.rank)));
  }
  return left;
}

}  // namespace

void move_state(const Residency& residency, const ViewParts& parts, OptimizerShard& optimizer) {
  comm::Group group;
  for (std::uint64_t chunk = 0; chunk < parts.placement.holders.size(); ++chunk) {
    const std::vector<std::uint32_t> left = holders_left(residency, parts.view, chunk);
    CADRE_CHECK(!left.empty(), "nobody holds chunk ", chunk);
    for (const std::uint32_t holder : parts.placement.holders[chunk]) {
      if (std::find(left.begin(), left.end(), holder) != left.end()) continue;
      const std::uint32_t source = left.front();
      if (holder != parts.self && source != parts.self) continue;
      ChunkState& state = optimizer.states().at(chunk);
      for (const std::span<float> piece :
           {optimizer.values_of(chunk), std::span<float>(state.first_moment), std::span<float>(state.second_moment)}) {
        if (source == parts.self) {
          group.sends.push_back({static_cast<int>(holder), std::as_bytes(piece)});
        } else {
          group.receives.push_back({static_cast<int>(source), std::as_writable_bytes(piece)});
        }
      }
    }
  }
  parts.communicator.wait(parts.communicator.start(std::move(group)));
}

}  // namespace cadre::run
