#include "trainer/run/move_state.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"

namespace cadre::run {
namespace {

// Where newcomers' parameters come from: for each chunk another resident of each host that has both, and one at least.
runtime::Placement givers(std::uint64_t chunks, const std::vector<bool>& residents,
                          const std::vector<std::uint32_t>& hosts) {
  std::vector<std::vector<std::uint32_t>> by_host(residents.size());
  std::vector<bool> has_newcomers(residents.size());
  std::vector<std::uint32_t> all;
  for (std::uint32_t member = 0; member < residents.size(); ++member) {
    if (!residents[member]) {
      has_newcomers[hosts[member]] = true;
      continue;
    }
    by_host[hosts[member]].push_back(member);
    all.push_back(member);
  }
  runtime::Placement placement;
  for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
    auto& holders = placement.holders.emplace_back();
    for (std::size_t host = 0; host < by_host.size(); ++host) {
      if (!has_newcomers[host] || by_host[host].empty()) continue;
      holders.push_back(by_host[host][chunk % by_host[host].size()]);
    }
    if (holders.empty()) holders.push_back(all[chunk % all.size()]);
  }
  return placement;
}

comm::Group state_that_moves(const runtime::Placement& sources, const ViewParts& parts, OptimizerShard& optimizer) {
  comm::Group group;
  for (std::uint64_t chunk = 0; chunk < sources.holders.size(); ++chunk) {
    const std::vector<std::uint32_t>& left = sources.holders[chunk];
    const std::uint32_t source = left.front();
    for (const std::uint32_t holder : parts.placement.holders[chunk]) {
      if (std::ranges::find(left, holder) != left.end()) continue;
      if (holder != parts.self && source != parts.self) continue;
      ChunkState& state = optimizer.states().at(chunk);
      for (std::vector<float>* const moment : {&state.first_moment, &state.second_moment}) {
        const std::span<float> piece(*moment);
        if (source == parts.self) {
          group.sends.push_back({static_cast<int>(holder), std::as_bytes(piece)});
        } else {
          group.receives.push_back({static_cast<int>(source), std::as_writable_bytes(piece)});
        }
      }
    }
  }
  return group;
}

}  // namespace

runtime::Placement holders_left(const Residency& residency, const runtime::View& view) {
  runtime::Placement sources;
  for (const std::vector<std::uint32_t>& holders : residency.placement.holders) {
    auto& left = sources.holders.emplace_back();
    for (const std::uint32_t holder : holders) {
      const runtime::Member& member = residency.view.members.at(holder);
      if (view.has(member)) left.push_back(static_cast<std::uint32_t>(*view.index_of(member.rank)));
    }
    CADRE_CHECK(!left.empty(), "nobody holds chunk ", sources.holders.size() - 1);
  }
  return sources;
}

StateMove::StateMove(const runtime::Placement& sources, const std::vector<bool>& residents, const ViewParts& parts,
                     OptimizerShard& optimizer)
    : communicator_(parts.communicator) {
  if (std::ranges::find(residents, false) != residents.end()) {
    std::vector<bool> newcomers = residents;
    newcomers.flip();
    const runtime::Placement from = givers(optimizer.chunks().count(), residents, parts.hosts);
    parameters_.emplace(
        communicator_,
        comm::GatherPlan{
            .chunks = optimizer.chunks(), .holders = &from, .hosts = parts.hosts, .receivers = std::move(newcomers)},
        optimizer.values());
  }
  state_ = communicator_.start(state_that_moves(sources, parts, optimizer));
}

void StateMove::finish_parameters() {
  if (!parameters_) return;
  parameters_->finish();
  parameters_.reset();
}

void StateMove::finish() {
  finish_parameters();
  communicator_.wait(state_);
}

}  // namespace cadre::run
