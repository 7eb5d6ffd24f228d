#include "runtime/members.h"

#include <algorithm>

namespace cadre::runtime {

std::optional<std::size_t> View::index_of(Rank rank) const {
  const auto at = std::lower_bound(members.begin(), members.end(), rank,
                                   [](const Member& member, Rank wanted) { return member.rank < wanted; });
  if (at == members.end() || at->rank != rank) return std::nullopt;
  return static_cast<std::size_t>(at - members.begin());
}

std::size_t View::writer() const {
  const auto at =
      std::find_if(members.begin(), members.end(), [](const Member& member) { return member.shares_folder; });
  return at == members.end() ? 0 : static_cast<std::size_t>(at - members.begin());
}

}  // namespace cadre::runtime
