#include "runtime/speeds.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

// Four steps or so: a rank that becomes slow has its new share within ten.
constexpr double kNewest = 0.25;
// One step says at most so much: a rank that was stopped for seconds is not slow.
constexpr double kMostOfOneStep = 2;
// Shares change when the step becomes so much shorter.
constexpr double kLeastGain = 0.15;
// A rank so slow that it has no share is not measured; it is tried again after some hundred steps.
constexpr double kForgetting = 0.99;

struct Mean {
  double sum = 0;
  std::size_t count = 0;

  void add(double value) {
    sum += value;
    ++count;
  }
  double value() const { return sum / static_cast<double>(count); }
};

}  // namespace

std::vector<std::uint32_t> fastest_counts(std::uint32_t count, std::span<const double> costs) {
  CADRE_CHECK(!costs.empty(), "no rank to share among");
  std::vector<std::uint32_t> counts(costs.size(), 0);
  // When each would be done with one more; the earliest on top.
  using Next = std::pair<double, std::size_t>;
  std::priority_queue<Next, std::vector<Next>, std::greater<>> next;
  for (std::size_t r = 0; r < costs.size(); ++r) {
    CADRE_CHECK(costs[r] > 0 && std::isfinite(costs[r]), "a micro-batch that costs ", costs[r]);
    next.emplace(costs[r], r);
  }
  for (std::uint32_t m = 0; m < count; ++m) {
    const std::size_t first = next.top().second;
    next.pop();
    ++counts[first];
    next.emplace(costs[first] * (counts[first] + 1), first);
  }
  return counts;
}

double time_of(std::span<const std::uint32_t> counts, std::span<const double> costs) {
  double time = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) time = std::max(time, counts[r] * costs[r]);
  return time;
}

void Speeds::observe(Rank rank, std::uint64_t tokens, double seconds) {
  const double cost = seconds / static_cast<double>(tokens);
  if (tokens == 0 || !(cost > 0) || !std::isfinite(cost)) return;
  Pace& pace = paces_[rank];
  pace.is_fresh = true;
  if (pace.cost == 0 || std::exchange(pace.is_stale, false)) {
    pace.cost = cost;
  } else {
    pace.cost += kNewest * (std::clamp(cost, pace.cost / kMostOfOneStep, pace.cost * kMostOfOneStep) - pace.cost);
  }
}

void Speeds::forget(Rank rank) {
  paces_.erase(rank);
}

std::vector<Share> Speeds::shares(std::uint32_t micro_batches, const View& view) {
  // Who is not measured yet is taken to be like the others.
  Mean measured, used;
  for (const Member& member : view.members) {
    const auto found = paces_.find(member.rank);
    if (found == paces_.end()) continue;
    measured.add(found->second.cost);
    if (found->second.in_force > 0) used.add(found->second.in_force);
  }
  if (measured.count == 0) return {};
  bool is_even = used.count == 0;

  const std::vector<std::uint32_t> order = by_host(view);
  std::vector<double> costs, in_force;
  for (const std::uint32_t member : order) {
    Pace unknown{.cost = measured.value(), .is_fresh = true};
    const auto found = paces_.find(view.members[member].rank);
    Pace& pace = found == paces_.end() ? unknown : found->second;
    if (!std::exchange(pace.is_fresh, false)) {
      pace.cost *= kForgetting;
      pace.is_stale = true;
    }
    costs.push_back(pace.cost);
    in_force.push_back(pace.in_force > 0 ? pace.in_force : is_even ? 1 : used.value());
  }
  std::vector<std::uint32_t> counts = fastest_counts(micro_batches, in_force);
  const std::vector<std::uint32_t> fastest = fastest_counts(micro_batches, costs);
  if (time_of(fastest, costs) < (1 - kLeastGain) * time_of(counts, costs)) {
    counts = fastest;
    is_even = false;
    for (std::size_t at = 0; at < order.size(); ++at) {
      const auto found = paces_.find(view.members[order[at]].rank);
      if (found != paces_.end()) found->second.in_force = costs[at];
    }
  }
  if (is_even) return {};
  std::vector<Share> shares(view.size());
  std::uint32_t begin = 0;
  for (std::size_t at = 0; at < order.size(); ++at) {
    if (counts[at] > 0) shares[order[at]].compute.push_back({begin, begin + counts[at]});
    begin += counts[at];
  }
  return shares;
}

}  // namespace cadre::runtime
