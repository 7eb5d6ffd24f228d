// Simulated time and chance: what is to happen happens in order of time, and in the order of asking where times are
// equal. One seed, one course.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <utility>

#include "runtime/effects.h"

namespace cadre::simulation {

using runtime::TimePoint;
using Duration = std::chrono::microseconds;

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}

  // From 0 up to, without, `end`.
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }
  Duration between(Duration least, Duration most) {
    return least + Duration(below(static_cast<std::uint64_t>((most - least).count()) + 1));
  }

 private:
  std::mt19937_64 random_;
};

class SimulatedClock {
 public:
  TimePoint now() const { return now_; }
  void at(TimePoint time, std::function<void()> action) {
    queue_.emplace(std::pair(std::max(time, now_), ++count_), std::move(action));
  }
  void after(Duration delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }

  // Does what comes next; false: nothing is left before `limit`.
  bool step(TimePoint limit) {
    if (queue_.empty() || queue_.begin()->first.first > limit) return false;
    auto next = queue_.extract(queue_.begin());
    now_ = next.key().first;
    next.mapped()();
    return true;
  }

 private:
  TimePoint now_{};
  std::uint64_t count_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> queue_;
};

}  // namespace cadre::simulation
