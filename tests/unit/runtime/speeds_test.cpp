// Shares by speed, as properties over random speeds: every micro-batch once, nobody could finish earlier, a rank twice
// as slow has half, and what scatters changes nothing.
#include "runtime/speeds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>

namespace cadre::runtime {
namespace {

constexpr std::uint64_t kTokens = 100;  // of a micro-batch

View view_of(std::size_t ranks, std::size_t hosts) {
  View view{{1, 0, 1}, {}};
  for (Rank rank = 0; rank < ranks; ++rank) {
    view.members.push_back({.rank = rank, .host = "host-" + std::to_string(rank % hosts)});
  }
  return view;
}

std::vector<std::uint32_t> counts_of(const std::vector<Share>& shares) {
  std::vector<std::uint32_t> counts;
  for (const Share& share : shares) {
    counts.push_back(0);
    for (const Range range : share.compute) counts.back() += range.size();
  }
  return counts;
}

// A step of the run: each rank votes on its share; returns how many micro-batches each had.
std::vector<std::uint32_t> step(Speeds& speeds, const View& view, std::uint32_t micro_batches,
                                const std::function<double(Rank)>& seconds_of) {
  const std::vector<Share> shares = speeds.shares(micro_batches, view);
  std::vector<std::uint32_t> counts = counts_of(shares);
  if (shares.empty()) {
    for (const auto& ranges : even_shares(micro_batches, view, false)) counts.push_back(ranges.at(0).size());
  }
  for (std::size_t m = 0; m < counts.size(); ++m) {
    const Rank rank = view.members[m].rank;
    if (counts[m] > 0) speeds.observe(rank, counts[m] * kTokens, counts[m] * seconds_of(rank));
  }
  return counts;
}

TEST(Speeds, NoOtherCountsFinishEarlier) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::size_t ranks = 1 + random() % 3;
    const auto count = static_cast<std::uint32_t>(random() % 9);
    std::vector<double> costs;
    for (std::size_t r = 0; r < ranks; ++r) costs.push_back(0.1 + static_cast<double>(random() % 1000) / 100);
    const std::vector<std::uint32_t> counts = fastest_counts(count, costs);
    ASSERT_EQ(std::accumulate(counts.begin(), counts.end(), 0U), count);
    double best = std::numeric_limits<double>::infinity();
    std::vector<std::uint32_t> tried(ranks, 0);
    const std::function<void(std::size_t, std::uint32_t)> try_all = [&](std::size_t rank, std::uint32_t left) {
      if (rank + 1 == ranks) {
        tried[rank] = left;
        best = std::min(best, time_of(tried, costs));
        return;
      }
      for (tried[rank] = 0; tried[rank] <= left; ++tried[rank]) try_all(rank + 1, left - tried[rank]);
    };
    try_all(0, count);
    EXPECT_DOUBLE_EQ(time_of(counts, costs), best);
  }
}

TEST(Speeds, EveryMicroBatchIsInOneRangeAndAHostsAreNeighbours) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 200; ++round) {
    const std::size_t ranks = 1 + random() % 9;
    const View view = view_of(ranks, 1 + random() % 3);
    const auto count = static_cast<std::uint32_t>(1 + random() % 40);
    Speeds speeds;
    for (Rank rank = 0; rank < ranks; ++rank) speeds.observe(rank, 100, 0.1 + static_cast<double>(random() % 100));
    const std::vector<Share> shares = speeds.shares(count, view);
    if (shares.empty()) continue;
    ASSERT_EQ(shares.size(), ranks);
    std::uint32_t next = 0;
    for (const std::uint32_t member : by_host(view)) {
      EXPECT_TRUE(shares[member].held.empty());
      for (const Range range : shares[member].compute) {
        EXPECT_EQ(range.begin, next);
        EXPECT_FALSE(range.empty());
        next = range.end;
      }
    }
    EXPECT_EQ(next, count);
  }
}

TEST(Speeds, ARankTwiceAsSlowGetsHalf) {
  for (std::size_t ranks = 2; ranks <= 8; ++ranks) {
    const View view = view_of(ranks, 1);
    const auto fair = static_cast<std::uint32_t>(20);  // of a fast one
    const std::uint32_t count = fair * static_cast<std::uint32_t>(ranks - 1) + fair / 2;
    Speeds speeds;
    std::vector<std::uint32_t> counts;
    for (int n = 0; n < 20; ++n) counts = step(speeds, view, count, [](Rank rank) { return rank == 1 ? 2.0 : 1.0; });
    for (Rank rank = 0; rank < ranks; ++rank) EXPECT_NEAR(counts[rank], rank == 1 ? fair / 2 : fair, fair / 5);
  }
}

TEST(Speeds, EqualRanksKeepEvenSharesThoughTheirTimesScatter) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> scatter(0.9, 1.1);
  for (const std::size_t ranks : {2, 3, 5, 8}) {
    const View view = view_of(ranks, 2);
    Speeds speeds;
    for (int n = 0; n < 500; ++n) {
      EXPECT_TRUE(speeds.shares(40, view).empty()) << ranks << " ranks, step " << n;
      for (Rank rank = 0; rank < ranks; ++rank) speeds.observe(rank, 40 * kTokens / ranks, scatter(random));
    }
  }
}

TEST(Speeds, SharesDoNotFlap) {
  std::mt19937_64 random(4);
  std::uniform_real_distribution<double> scatter(0.9, 1.1);
  const View view = view_of(4, 2);
  Speeds speeds;
  std::vector<std::uint32_t> before;
  int changes = 0;
  for (int n = 0; n < 1000; ++n) {
    // From step 500 on it is as fast as the others again.
    const auto counts =
        step(speeds, view, 40, [&](Rank rank) { return (rank == 2 && n < 500 ? 2 : 1) * scatter(random); });
    changes += counts != before;
    before = counts;
  }
  EXPECT_LE(changes, 12);
  EXPECT_NEAR(before[2], 10, 1);
}

// One step says little.
TEST(Speeds, APauseOfOneStepIsNotSlowness) {
  const View view = view_of(4, 1);
  Speeds speeds;
  for (int n = 0; n < 50; ++n) {
    const auto counts = step(speeds, view, 40, [&](Rank rank) { return rank == 1 && n == 20 ? 100.0 : 1.0; });
    EXPECT_GE(counts[1], 8U) << n;
  }
}

TEST(Speeds, OneWithoutAShareIsTriedAgain) {
  const View view = view_of(3, 1);
  Speeds speeds;
  int without = 0, tried = 0;
  for (int n = 0; n < 1500; ++n) {
    const auto counts = step(speeds, view, 8, [&](Rank rank) { return rank == 2 ? n < 600 ? 20.0 : 1.0 : 1.0; });
    if (n < 600) without += counts[2] == 0, tried += n > 20 && counts[2] > 0;
    if (n == 1499) {
      EXPECT_GE(counts[2], 2U);
    }
  }
  EXPECT_GT(without, 500);
  EXPECT_LT(tried, 10);
}

TEST(Speeds, WhoComesBackIsTakenToBeLikeTheOthers) {
  const View view = view_of(3, 1);
  Speeds speeds;
  std::vector<std::uint32_t> counts;
  for (int n = 0; n < 30; ++n) counts = step(speeds, view, 30, [](Rank rank) { return rank == 2 ? 3.0 : 1.0; });
  EXPECT_LT(counts[2], 6U);
  speeds.forget(2);
  counts = step(speeds, view, 30, [](Rank) { return 1.0; });
  EXPECT_NEAR(counts[2], 10, 2);
}

TEST(Speeds, NonsenseIsPassedOver) {
  const View view = view_of(2, 1);
  Speeds speeds;
  for (const double seconds : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    speeds.observe(0, kTokens, seconds);
    speeds.observe(0, 0, 1);
  }
  EXPECT_TRUE(speeds.shares(10, view).empty());
}

}  // namespace
}  // namespace cadre::runtime
