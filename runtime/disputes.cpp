#include "runtime/disputes.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/rank_names.h"

namespace cadre::runtime {

std::string parameters_problem(std::span<const std::pair<Rank, std::uint64_t>> digests, std::uint64_t step) {
  std::map<std::uint64_t, std::size_t> votes;
  for (const auto& [rank, digest] : digests) ++votes[digest];
  if (votes.size() <= 1) return {};
  std::size_t most = 0;
  for (const auto& [digest, count] : votes) most = std::max(most, count);
  // Of two sets of one size, that of the lowest rank counts.
  const auto right =
      std::find_if(digests.begin(), digests.end(), [&](const auto& one) { return votes.at(one.second) == most; });
  std::vector<Rank> others;
  for (const auto& [rank, digest] : digests) {
    if (digest != right->second) others.push_back(rank);
  }
  return say(names_of(others), others.size() == 1 ? " has" : " have", " other parameters after step ", step,
             " than the rest");
}

Disputes::Remedy Disputes::disagreed(std::uint64_t step, bool state_is_in_doubt) {
  step_ = attempts_ == 0 ? step : std::max(step_, step);
  ++attempts_;
  if (attempts_ == 1 && state_is_in_doubt) ++attempts_;
  switch (attempts_) {
    case 1:
      return Remedy::kDoAgain;
    case 2:
      return Remedy::kGoBack;
    case 3:
      return Remedy::kPutOut;
    default:
      return Remedy::kGiveUp;
  }
}

void Disputes::hear(std::uint64_t step, Rank rank, std::span<const ChunkDigest> said) {
  for (const ChunkDigest& one : said) said_[{step, one.chunk}][rank].insert(one.digest);
}

std::vector<Rank> Disputes::suspects() const {
  std::set<Rank> contradicting, outvoted;
  for (const auto& [what, by_rank] : said_) {
    std::map<std::uint64_t, std::size_t> votes;
    for (const auto& [rank, digests] : by_rank) {
      if (digests.size() > 1) contradicting.insert(rank);
      ++votes[*digests.begin()];
    }
    const std::size_t voters = by_rank.size();
    const auto most =
        std::find_if(votes.begin(), votes.end(), [&](const auto& vote) { return 2 * vote.second > voters; });
    if (voters <= 2 || most == votes.end()) continue;
    for (const auto& [rank, digests] : by_rank) {
      if (*digests.begin() != most->first) outvoted.insert(rank);
    }
  }
  const std::set<Rank>& found = contradicting.empty() ? outvoted : contradicting;
  return {found.begin(), found.end()};
}

std::map<Rank, std::uint32_t> Disputes::settle(std::uint64_t step,
                                               const std::map<std::uint64_t, std::uint64_t>& truth) {
  std::set<Rank> wrong;
  for (const auto& [chunk, right] : truth) {
    const auto said = said_.find({step, chunk});
    if (said == said_.end()) continue;
    for (const auto& [rank, digests] : said->second) {
      if (digests != std::set{right}) wrong.insert(rank);
    }
  }
  std::map<Rank, std::uint32_t> erred;
  for (const Rank rank : wrong) erred[rank] = ++errors_[rank];
  if (step >= step_) {
    said_.clear();
    attempts_ = 0;
  }
  return erred;
}

void Disputes::forget(Rank rank) {
  errors_.erase(rank);
  for (auto& [what, by_rank] : said_) by_rank.erase(rank);
}

}  // namespace cadre::runtime
