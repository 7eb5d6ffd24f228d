#include "launch/hosts.h"

#include <algorithm>
#include <charconv>

#include "runtime/error.h"

namespace cadre::launch {

bool is_host_name(const std::string& name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  };
  return !name.empty() && name.size() <= 255 && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::vector<IslandSpec> parse_hosts(const std::string& text) {
  std::vector<IslandSpec> islands;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    const std::size_t colon = item.find(':');
    const std::string host = item.substr(0, colon);
    if (colon == item.npos || !is_host_name(host)) {
      throw runtime::UserError("--hosts: expected HOST:RANKS with commas between, as in a:4,b:4; found '" + item + "'");
    }
    const auto same = [&](const IslandSpec& island) { return island.host == host; };
    if (std::any_of(islands.begin(), islands.end(), same)) {
      throw runtime::UserError("--hosts: " + host + " stands there twice; give its ranks in one number");
    }
    std::uint32_t ranks = 0;
    const auto [rest, error] = std::from_chars(item.data() + colon + 1, item.data() + item.size(), ranks);
    if (error != std::errc() || rest != item.data() + item.size() || ranks < 1 || ranks > kMostRanks) {
      throw runtime::UserError(runtime::say("--hosts: expected 1 to ", kMostRanks, " ranks on ", host, ", found '",
                                            item.substr(colon + 1), "'"));
    }
    islands.push_back({.host = host, .ranks = ranks});
    begin = end + 1;
  }
  return islands;
}

PlaceOnHost place_on_host(const std::vector<IslandSpec>& islands, const std::string& host, std::uint32_t rank) {
  PlaceOnHost place;
  std::uint32_t first = 0;
  for (const IslandSpec& island : islands) {
    if (island.host == host) {
      place.before += std::min(island.ranks, rank - std::min(rank, first));
      place.ranks += island.ranks;
    }
    first += island.ranks;
  }
  return place;
}

}  // namespace cadre::launch
