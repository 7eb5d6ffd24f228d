// The routes by themselves: what each member and host would send, followed to the owners without a byte moved.
#include "comm/host_routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "comm/reduction_tree.h"
#include "tests/unit/comm/step_nodes.h"

namespace cadre::comm {
namespace {

using runtime::Range;

std::vector<std::uint32_t> random_hosts(std::size_t members, std::mt19937& generator) {
  const std::size_t hosts = 1 + generator() % members;
  std::vector<std::uint32_t> of(members);
  for (std::size_t member = 0; member < members; ++member) {
    of[member] = static_cast<std::uint32_t>(member < hosts ? member : generator() % hosts);
  }
  std::ranges::shuffle(of, generator);
  return of;
}

// Follows one chunk to its owner. Returns how many pieces of it passed between hosts.
std::size_t follow(const HostRoutes& routes, const Nodes& nodes, std::uint64_t chunk, std::uint32_t owner,
                   std::uint32_t micro_batches) {
  std::size_t between = 0;
  std::map<std::uint32_t, std::vector<Range>> at;  // by member
  for (std::uint32_t member = 0; member < nodes.size(); ++member) {
    const std::uint32_t stop = routes.first_stop(member, chunk, owner);
    if (routes.host_of(stop) != routes.host_of(member)) between += nodes[member].size();
    at[stop].insert(at[stop].end(), nodes[member].begin(), nodes[member].end());
  }
  std::vector<Range> arrived = at[owner];
  for (std::uint32_t host = 0; host < routes.host_count(); ++host) {
    if (host == routes.host_of(owner) || !routes.gathers(host)) continue;
    const std::uint32_t gatherer = routes.gatherer(host, chunk);
    EXPECT_EQ(routes.host_of(gatherer), host);
    EXPECT_EQ(joined_nodes(at[gatherer], micro_batches), routes.joined(host));
    between += routes.joined(host).size();
    arrived.insert(arrived.end(), routes.joined(host).begin(), routes.joined(host).end());
  }
  // Every leaf once, and nothing is missing for the root.
  std::vector<int> leaves(micro_batches);
  for (const Range& node : arrived) {
    for (std::uint32_t leaf = node.begin; leaf < node.end; ++leaf) ++leaves[leaf];
  }
  EXPECT_EQ(std::ranges::count(leaves, 1), static_cast<std::ptrdiff_t>(micro_batches));
  EXPECT_EQ(joined_nodes(arrived, micro_batches), (std::vector<Range>{{0, micro_batches}}));
  return between;
}

TEST(HostRoutes, BringEveryLeafOnceAndNeverMoreBytesBetweenHosts) {
  std::mt19937 generator(3);
  std::size_t direct_in_all = 0, between_in_all = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::size_t members = 1 + generator() % 9;
    const auto micro_batches = static_cast<std::uint32_t>(1 + generator() % 40);
    const std::vector<std::uint32_t> hosts = random_hosts(members, generator);
    const Nodes nodes =
        round % 2 == 0 ? even_shares(micro_batches, members) : scattered(micro_batches, members, generator);
    const HostRoutes routes(hosts, nodes, micro_batches);
    for (std::uint32_t owner = 0; owner < members; ++owner) {
      std::size_t direct = 0;
      for (std::size_t member = 0; member < members; ++member) {
        if (hosts[member] != hosts[owner]) direct += nodes[member].size();
      }
      const std::size_t between = follow(routes, nodes, round % 7, owner, micro_batches);
      EXPECT_LE(between, direct);
      direct_in_all += direct;
      between_in_all += between;
    }
  }
  EXPECT_LT(between_in_all, direct_in_all);
}

// Aligned shares of four ranks a host are one node a host.
TEST(HostRoutes, FourRanksOfAHostSendAsMuchAsOne) {
  const Nodes nodes = even_shares(64, 8);
  const std::vector<std::uint32_t> hosts = {0, 0, 0, 0, 1, 1, 1, 1};
  const HostRoutes routes(hosts, nodes, 64);
  ASSERT_TRUE(routes.gathers(0) && routes.gathers(1));
  EXPECT_EQ(routes.joined(1), (std::vector<Range>{{32, 64}}));
  // The work is dealt to all of them.
  std::map<std::uint32_t, int> gathered;
  for (std::uint64_t chunk = 0; chunk < 100; ++chunk) ++gathered[routes.first_stop(6, chunk, 2)];
  EXPECT_EQ(gathered, (std::map<std::uint32_t, int>{{4, 25}, {5, 25}, {6, 25}, {7, 25}}));
  EXPECT_EQ(routes.first_stop(6, 0, 7), 7u);
}

TEST(HostRoutes, WhatWouldSaveNothingGoesStraight) {
  // In turn: no two micro-batches of a host are siblings.
  const Nodes dealt = {{{0, 1}}, {{1, 2}}, {{2, 3}}, {{3, 4}}};
  const HostRoutes in_turn(std::vector<std::uint32_t>{0, 1, 0, 1}, dealt, 4);
  const HostRoutes one_host({}, dealt, 4);
  for (std::uint32_t member = 0; member < 4; ++member) {
    EXPECT_EQ(in_turn.first_stop(member, 5, 3), 3u);
    EXPECT_EQ(one_host.first_stop(member, 5, 3), 3u);
  }
  EXPECT_FALSE(in_turn.gathers(0) || in_turn.gathers(1) || one_host.gathers(0));
}

TEST(JoinedNodes, AreTheHighestThatCanBeMade) {
  EXPECT_EQ(joined_nodes({}, 5), std::vector<Range>{});
  EXPECT_EQ(joined_nodes({{4, 5}, {0, 2}, {2, 3}, {3, 4}}, 5), (std::vector<Range>{{0, 5}}));
  EXPECT_EQ(joined_nodes({{1, 2}, {2, 3}, {4, 5}}, 5), (std::vector<Range>{{1, 2}, {2, 3}, {4, 5}}));
  EXPECT_THROW(joined_nodes({{1, 3}}, 5), std::logic_error);
  EXPECT_THROW(joined_nodes({{0, 4}, {1, 2}}, 5), std::logic_error);
}

}  // namespace
}  // namespace cadre::comm
