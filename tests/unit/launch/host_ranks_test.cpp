#include "launch/host_ranks.h"

#include <gtest/gtest.h>

namespace cadre::launch {
namespace {

using Run = HostRanks::Run;
using Runs = std::vector<Run>;

const std::map<std::uint32_t, std::string> kReported{{0, "node-a"}, {1, "node-a"}, {2, "node-b"}, {9, "gone"}};

HostRanks three() {
  return HostRanks({{.host = "10.0.0.1", .ranks = 2}, {.host = "10.0.0.2", .ranks = 1}});
}

TEST(HostRanks, AHostHasTheNameThatItWasGivenAndItsOwn) {
  const HostRanks hosts = three();
  EXPECT_EQ(hosts.numbers(), 3U);
  EXPECT_EQ(hosts.on("10.0.0.1", kReported), (RankNumbers{0, 1}));
  EXPECT_EQ(hosts.on("node-a", kReported), (RankNumbers{0, 1}));
  EXPECT_EQ(hosts.on("node-b", kReported), RankNumbers{2});
  EXPECT_EQ(hosts.on("10.0.0.2", {}), RankNumbers{2});
  EXPECT_EQ(hosts.on("node-b", {}), RankNumbers{});
  EXPECT_EQ(hosts.on("", {}), RankNumbers{});
  EXPECT_EQ(hosts.on("gone", kReported), RankNumbers{}) << "of a number that no rank has";
  EXPECT_EQ(hosts.names(kReported), (std::set<std::string>{"10.0.0.1", "10.0.0.2", "node-a", "node-b"}));
}

TEST(HostRanks, TwoNamesOfOneMachineAreTwoHostsAndItsOwnNameIsBoth) {
  const HostRanks hosts({{.host = "localhost", .ranks = 2}, {.host = "node-a", .ranks = 1}});
  const std::map<std::uint32_t, std::string> reported{{0, "node-a"}, {1, "node-a"}, {2, "node-a"}};
  EXPECT_EQ(hosts.on("localhost", reported), (RankNumbers{0, 1}));
  EXPECT_EQ(hosts.on("node-a", reported), (RankNumbers{0, 1, 2}));
}

TEST(HostRanks, NewOnesGetNewNumbers) {
  HostRanks hosts = three();
  EXPECT_EQ(hosts.invite("c", 2, kReported), (Runs{{3, 2}}));
  EXPECT_EQ(hosts.invite("10.0.0.1", 0, kReported), (Runs{{5, 1}}));
  EXPECT_EQ(hosts.numbers(), 6U);
  EXPECT_EQ(hosts.on("c", {}), (RankNumbers{3, 4}));
  EXPECT_EQ(hosts.on("node-a", {{5, "node-a"}}), RankNumbers{5});
}

TEST(HostRanks, DrainedOnesGetTheirNumbersBack) {
  HostRanks hosts = three();
  hosts.invite("10.0.0.1", 1, kReported);
  const RankNumbers there = hosts.on("10.0.0.1", kReported);
  EXPECT_EQ(there, (RankNumbers{0, 1, 3}));
  hosts.drain(there, "node-a");
  EXPECT_EQ(hosts.drained(), (std::map<std::string, RankNumbers>{{"node-a", {0, 1, 3}}}));
  EXPECT_TRUE(hosts.is_drained(3));
  EXPECT_FALSE(hosts.is_drained(2));
  HostRanks fewer = hosts, more = hosts;
  EXPECT_EQ(hosts.invite("10.0.0.1", 0, kReported), (Runs{{0, 2}, {3, 1}}));
  EXPECT_FALSE(hosts.is_drained(0));
  EXPECT_EQ(fewer.invite("node-a", 1, kReported), (Runs{{0, 1}}));
  EXPECT_EQ(fewer.drained(), (std::map<std::string, RankNumbers>{{"node-a", {1, 3}}}));
  EXPECT_EQ(more.invite("10.0.0.1", 5, kReported), (Runs{{0, 2}, {3, 3}}));
  EXPECT_EQ(more.numbers(), 6U);
}

}  // namespace
}  // namespace cadre::launch
