#include "runtime/micro_batches.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>
#include <utility>

namespace cadre::runtime {
namespace {

// All nodes of the tree over [begin, end), by its definition.
void nodes_of(Range node, std::set<std::pair<std::uint32_t, std::uint32_t>>& nodes) {
  nodes.emplace(node.begin, node.end);
  if (node.size() == 1) return;
  const std::uint32_t middle = node.begin + split_of(node.size());
  nodes_of({node.begin, middle}, nodes);
  nodes_of({middle, node.end}, nodes);
}

TEST(MicroBatches, TheTreeSplitsAtTheLargestPowerOfTwoBelow) {
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> expected{{2, 1}, {3, 2}, {4, 2},  {5, 4},
                                                                      {8, 4}, {9, 8}, {17, 16}};
  for (const auto& [size, left] : expected) EXPECT_EQ(split_of(size), left) << size;
}

TEST(MicroBatches, WholeSubtreesAreTheLargestNodesThatTileTheRange) {
  for (std::uint32_t count = 1; count <= 40; ++count) {
    std::set<std::pair<std::uint32_t, std::uint32_t>> nodes;
    nodes_of({0, count}, nodes);
    for (std::uint32_t begin = 0; begin < count; ++begin) {
      for (std::uint32_t end = begin + 1; end <= count; ++end) {
        std::uint32_t next = begin;
        for (const Range& node : whole_subtrees({begin, end}, count)) {
          ASSERT_TRUE(nodes.contains({node.begin, node.end}));
          ASSERT_EQ(node.begin, next);
          next = node.end;
          // No node that holds this one lies inside the range.
          for (const auto& [b, e] : nodes) {
            const bool larger = b <= node.begin && node.end <= e && e - b > node.size();
            ASSERT_FALSE(larger && begin <= b && e <= end);
          }
        }
        ASSERT_EQ(next, end);
      }
    }
  }
  EXPECT_TRUE(whole_subtrees({3, 3}, 8).empty());
}

TEST(MicroBatches, EqualSharesDifferByOneAtMostAndTile) {
  for (std::uint32_t count = 0; count < 50; ++count) {
    for (std::size_t ranks = 1; ranks < 20; ++ranks) {
      const auto shares = share_out(count, ranks);
      ASSERT_EQ(shares.size(), ranks);
      std::uint32_t next = 0, least = ~0u, most = 0;
      for (const Range& share : shares) {
        ASSERT_EQ(share.begin, next);
        next = share.end;
        least = std::min(least, share.size());
        most = std::max(most, share.size());
      }
      ASSERT_EQ(next, count);
      ASSERT_LE(most - least, 1u);
    }
  }
}

TEST(MicroBatches, DealtOutInTurn) {
  const auto hands = deal_out(7, 3);
  ASSERT_EQ(hands.size(), 3u);
  EXPECT_EQ(hands[0], (std::vector<Range>{{0, 1}, {3, 4}, {6, 7}}));
  EXPECT_EQ(hands[1], (std::vector<Range>{{1, 2}, {4, 5}}));
  EXPECT_EQ(hands[2], (std::vector<Range>{{2, 3}, {5, 6}}));
  EXPECT_EQ(deal_out(1, 2), (std::vector<std::vector<Range>>{{{0, 1}}, {}}));
}

TEST(MicroBatches, RanksOfAHostHaveNeighbouringParts) {
  View view;
  for (const char* host : {"b", "a", "b", "c", "a"}) view.members.push_back({.host = host});
  EXPECT_EQ(host_numbers(view), (std::vector<std::uint32_t>{0, 1, 0, 2, 1}));
  EXPECT_EQ(by_host(view), (std::vector<std::uint32_t>{0, 2, 1, 4, 3}));
  using Shares = std::vector<std::vector<Range>>;
  EXPECT_EQ(even_shares(10, view, false), (Shares{{{0, 2}}, {{4, 6}}, {{2, 4}}, {{8, 10}}, {{6, 8}}}));
  EXPECT_EQ(even_shares(7, view, true), (Shares{{{0, 1}, {5, 6}}, {{2, 3}}, {{1, 2}, {6, 7}}, {{4, 5}}, {{3, 4}}}));
}

TEST(MicroBatches, SharesFollowWeights) {
  std::mt19937 generator(5);
  std::uniform_real_distribution<double> weight(0, 3);
  for (int round = 0; round < 500; ++round) {
    std::vector<double> weights(1 + generator() % 12);
    for (double& w : weights) w = generator() % 4 == 0 ? 0 : weight(generator);
    weights[generator() % weights.size()] = 1;
    const auto count = static_cast<std::uint32_t>(generator() % 300);
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::uint32_t next = 0;
    const auto shares = share_out(count, weights);
    for (std::size_t r = 0; r < weights.size(); ++r) {
      ASSERT_EQ(shares[r].begin, next);
      next = shares[r].end;
      ASSERT_NEAR(shares[r].size(), count * weights[r] / total, 1.0 + 1e-9);
      ASSERT_TRUE(weights[r] > 0 || shares[r].empty());
    }
    ASSERT_EQ(next, count);
  }
}

}  // namespace
}  // namespace cadre::runtime
