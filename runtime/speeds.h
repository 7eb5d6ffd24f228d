// How fast each rank computes, as its votes tell, and the shares of a step that follow: a slow rank gets fewer
// micro-batches. No clock: what was measured comes in.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "runtime/members.h"
#include "runtime/order.h"

namespace cadre::runtime {

// How many of `count` micro-batches each rank gets so that the last one to finish does so as early as can be, where one
// costs rank r the time costs[r] > 0. Of ranks that would finish together the first gets it.
std::vector<std::uint32_t> fastest_counts(std::uint32_t count, std::span<const double> costs);

// When the last rank finishes.
double time_of(std::span<const std::uint32_t> counts, std::span<const double> costs);

// Shares follow the smoothed costs, and change only where the step is expected to gain: measured times scatter, and
// shares that follow each of them would change for nothing.
class Speeds {
 public:
  // The rank computed `tokens` of a step in this time. Nonsense is passed over.
  void observe(Rank rank, std::uint64_t tokens, double seconds);
  // One that comes back under its number may run elsewhere.
  void forget(Rank rank);

  // One share a member of the view; empty: as even_shares() has it. Members of a host are neighbours, as there.
  std::vector<Share> shares(std::uint32_t micro_batches, const View& view);

 private:
  struct Pace {
    double cost = 0;        // seconds a token, smoothed
    double in_force = 0;    // what the shares that are given are made of; 0: nothing
    bool is_fresh = false;  // measured since the last shares
    bool is_stale = false;  // its share was empty since it was measured
  };
  std::map<Rank, Pace> paces_;
};

}  // namespace cadre::runtime
