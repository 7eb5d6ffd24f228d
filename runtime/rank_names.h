// Ranks in sentences: "rank 3", "ranks 0, 1 and 7", "ranks 0, 1, 2 and 97 more".
#pragma once

#include <span>
#include <string>

#include "runtime/error.h"
#include "runtime/members.h"

namespace cadre::runtime {

inline std::string names_of(std::span<const Rank> ranks) {
  constexpr std::size_t kNamed = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  const std::size_t named = ranks.size() > kNamed ? kNamed - 1 : ranks.size();
  for (std::size_t r = 0; r < named; ++r) {
    const bool last = r + 1 == ranks.size();
    text += say(r == 0 ? "" : last ? " and " : ", ", ranks[r]);
  }
  if (named < ranks.size()) text += say(" and ", ranks.size() - named, " more");
  return text;
}

}  // namespace cadre::runtime
