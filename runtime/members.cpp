#include "runtime/members.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace cadre::runtime {

std::optional<std::size_t> View::index_of(Rank rank) const {
  const auto at = std::lower_bound(members.begin(), members.end(), rank,
                                   [](const Member& member, Rank wanted) { return member.rank < wanted; });
  if (at == members.end() || at->rank != rank) return std::nullopt;
  return static_cast<std::size_t>(at - members.begin());
}

bool View::has(const Member& member) const {
  const std::optional<std::size_t> index = index_of(member.rank);
  return index && members[*index].incarnation == member.incarnation;
}

std::size_t View::writer() const {
  const auto at =
      std::find_if(members.begin(), members.end(), [](const Member& member) { return member.shares_folder; });
  return at == members.end() ? 0 : static_cast<std::size_t>(at - members.begin());
}

std::vector<std::uint32_t> host_numbers(const View& view) {
  std::unordered_map<std::string, std::uint32_t> hosts;
  std::vector<std::uint32_t> numbers;
  for (const Member& member : view.members) {
    numbers.push_back(hosts.emplace(member.host, static_cast<std::uint32_t>(hosts.size())).first->second);
  }
  return numbers;
}

std::vector<std::uint32_t> by_host(const View& view) {
  const std::vector<std::uint32_t> hosts = host_numbers(view);
  std::vector<std::uint32_t> order(view.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](std::uint32_t member) { return hosts[member]; });
  return order;
}

}  // namespace cadre::runtime
