#include "launch/host_ranks.h"

#include <algorithm>

namespace cadre::launch {

HostRanks::HostRanks(const std::vector<IslandSpec>& islands) {
  for (const IslandSpec& island : islands) given_.insert(given_.end(), island.ranks, island.host);
}

RankNumbers HostRanks::on(const std::string& host, const std::map<std::uint32_t, std::string>& reported) const {
  RankNumbers ranks;
  if (host.empty()) return ranks;
  for (std::uint32_t rank = 0; rank < numbers(); ++rank) {
    const auto own = reported.find(rank);
    if (given_[rank] == host || (own != reported.end() && own->second == host)) ranks.insert(rank);
  }
  return ranks;
}

std::set<std::string> HostRanks::names(const std::map<std::uint32_t, std::string>& reported) const {
  std::set<std::string> names(given_.begin(), given_.end());
  for (const auto& [rank, host] : reported) {
    if (rank < numbers()) names.insert(host);
  }
  names.erase("");
  return names;
}

void HostRanks::drain(const RankNumbers& ranks, const std::string& host) {
  for (const std::uint32_t rank : ranks) drained_.emplace(rank, host);
}

std::map<std::string, RankNumbers> HostRanks::drained() const {
  std::map<std::string, RankNumbers> by_host;
  for (const auto& [rank, host] : drained_) by_host[host].insert(rank);
  return by_host;
}

std::vector<HostRanks::Run> HostRanks::invite(const std::string& host, std::uint32_t count,
                                              const std::map<std::uint32_t, std::string>& reported) {
  RankNumbers chosen;
  for (const std::uint32_t rank : on(host, reported)) {
    if (is_drained(rank) && (count == 0 || chosen.size() < count)) chosen.insert(rank);
  }
  count = std::max<std::uint32_t>({count, 1, static_cast<std::uint32_t>(chosen.size())});
  while (chosen.size() < count) {
    chosen.insert(numbers());
    given_.push_back(host);
  }
  std::vector<Run> runs;
  for (const std::uint32_t rank : chosen) {
    drained_.erase(rank);
    if (runs.empty() || runs.back().first + runs.back().ranks != rank) runs.push_back({rank, 0});
    ++runs.back().ranks;
  }
  return runs;
}

}  // namespace cadre::launch
