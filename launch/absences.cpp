#include "launch/absences.h"

#include <algorithm>

namespace cadre::launch {

void Absences::started(std::uint32_t rank, TimePoint now) {
  const auto [found, is_new] = until_.try_emplace(rank);
  if (is_new || found->second) found->second = now + kToConnect;
}

void Absences::joined(std::uint32_t rank) {
  until_[rank].reset();
}

void Absences::lost(std::uint32_t rank, bool was_member, TimePoint now) {
  const auto found = until_.find(rank);
  if (found != until_.end() && !found->second) found->second = now + (was_member ? kMember : kLoading) * silence_;
}

void Absences::coordinator_began(TimePoint now) {
  for (auto& [rank, until] : until_) {
    if (!until) until = now + std::max(kToConnect, kMember * silence_);
  }
}

void Absences::ended(std::uint32_t rank) {
  until_.erase(rank);
}

bool Absences::is_absent(std::uint32_t rank) const {
  const auto found = until_.find(rank);
  return found != until_.end() && found->second;
}

std::vector<std::uint32_t> Absences::absent() const {
  return due(TimePoint::max());
}

std::vector<std::uint32_t> Absences::due(TimePoint now) const {
  std::vector<std::uint32_t> ranks;
  for (const auto& [rank, until] : until_) {
    if (until && *until <= now) ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace cadre::launch
