// Which ranks the launcher has on which hosts, also those that it starts while the run goes on: values, no process.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "launch/launcher.h"

namespace cadre::launch {

using RankNumbers = std::set<std::uint32_t>;

// A rank's host has two names: the one that `--hosts` or `cadre join` gave, and the one that the machine itself has and
// `cadre status` shows.
class HostRanks {
 public:
  // Numbered in the islands' order.
  explicit HostRanks(const std::vector<IslandSpec>& islands);

  std::uint32_t numbers() const { return static_cast<std::uint32_t>(given_.size()); }
  // Ranks of which `host` is the one name or the other; `reported` has the machines' own.
  RankNumbers on(const std::string& host, const std::map<std::uint32_t, std::string>& reported) const;
  // All names of hosts with ranks, by which they may be named.
  std::set<std::string> names(const std::map<std::uint32_t, std::string>& reported) const;

  // `host`: as who asked for it has named it.
  void drain(const RankNumbers& ranks, const std::string& host);
  bool is_drained(std::uint32_t rank) const { return drained_.contains(rank); }
  std::map<std::string, RankNumbers> drained() const;

  // Those that come to `host`: ranks that it had and that were drained, with the numbers that they had, then new ones.
  // `count` of them; 0: as many as were drained, else one. Ascending runs of numbers, each an island.
  struct Run {
    std::uint32_t first = 0, ranks = 0;
    bool operator==(const Run&) const = default;
  };
  std::vector<Run> invite(const std::string& host, std::uint32_t count,
                          const std::map<std::uint32_t, std::string>& reported);

 private:
  std::vector<std::string> given_;  // by rank
  std::map<std::uint32_t, std::string> drained_;
};

}  // namespace cadre::launch
