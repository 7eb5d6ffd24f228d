// `--hosts a:4,b:4`, and which ranks share a host.
#pragma once

#include <string>
#include <vector>

#include "launch/launcher.h"

namespace cadre::launch {

// Of a host, and of a run.
inline constexpr std::uint32_t kMostRanks = 1 << 16;

// What is handed to mpirun and ssh: letters, digits, dots, dashes, underscores; no option and nothing for a shell.
bool is_host_name(const std::string& name);

// HOST:RANKS. UserError, which begins with `where` and says that `form` was expected: it is not that.
IslandSpec parse_host(const std::string& text, const std::string& where, const std::string& form = "HOST:RANKS");

// One island a host, in the order given. UserError: no host, a host twice, a count that is none.
std::vector<IslandSpec> parse_hosts(const std::string& text);

// Among a host's ranks: how many have a lower number than the given one, and how many there are. The islands' ranks are
// numbered in their order; two that name the same host share it.
struct PlaceOnHost {
  std::uint32_t before = 0, ranks = 0;

  bool operator==(const PlaceOnHost&) const = default;
};
PlaceOnHost place_on_host(const std::vector<IslandSpec>& islands, const std::string& host, std::uint32_t rank);

}  // namespace cadre::launch
