// Connections that were closed for what they are or what came on them, counted, and told of: at once, then at most once
// a minute, and at the end. One thread's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "runtime/control_channel.h"

namespace cadre::runtime {

using RefusalCounts = std::array<std::uint64_t, kChannelEnds>;
// "5 connections were refused: 3 garbage, 2 a wrong token"; empty when there are none.
std::string describe(const RefusalCounts& counts);

class Refusals {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Tell = std::function<void(const std::string&)>;

  explicit Refusals(Tell tell) : tell_(std::move(tell)) {}

  // Ends that are nobody's fault, such as kClosedHere, are passed over.
  void count(ChannelEnd why, Time now);
  void tell_rest();

  std::uint64_t of(ChannelEnd why) const { return counts_[static_cast<std::size_t>(why)]; }
  std::uint64_t all() const;

 private:
  Tell tell_;
  RefusalCounts counts_ = {};
  bool is_told_ = true;
  Time next_ = Time::min();
};

}  // namespace cadre::runtime
