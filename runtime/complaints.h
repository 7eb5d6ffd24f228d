// Members that reach the coordinator and not each other: who says so of whom, and which of them goes.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "runtime/effects.h"
#include "runtime/members.h"

namespace cadre::runtime {

// Of one view. All who have cause are given the time to say so, since the one at fault complains as well.
class Complaints {
 public:
  static constexpr std::chrono::milliseconds kGrace{1000};

  void clear() { by_accused_.clear(); }
  void add(Rank accuser, Rank accused, TimePoint now) {
    if (by_accused_.empty()) first_ = now;
    by_accused_[accused].insert(accuser);
  }
  // It is lost: nothing that it said or that was said of it counts.
  void forget(Rank rank) {
    by_accused_.erase(rank);
    for (auto& [accused, accusers] : by_accused_) accusers.erase(rank);
  }
  // Once the time is over: the one that most cannot reach; of several, the highest number.
  std::optional<Rank> verdict(TimePoint now) const {
    std::optional<Rank> worst;
    std::size_t most = 1;
    for (const auto& [accused, accusers] : by_accused_) {
      if (accusers.size() < most) continue;
      worst = accused;
      most = accusers.size();
    }
    return now - first_ < kGrace ? std::nullopt : worst;
  }

 private:
  TimePoint first_{};
  std::map<Rank, std::set<Rank>> by_accused_;  // → accusers
};

}  // namespace cadre::runtime
