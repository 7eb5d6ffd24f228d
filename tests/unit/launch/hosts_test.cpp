#include "launch/hosts.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace cadre::launch {
namespace {

TEST(Hosts, OneIslandAHost) {
  const auto islands = parse_hosts("a:4,node-2.cluster:1,10.0.0.7:16");
  ASSERT_EQ(islands.size(), 3u);
  EXPECT_EQ(islands[0].host, "a");
  EXPECT_EQ(islands[0].ranks, 4u);
  EXPECT_EQ(islands[1].host, "node-2.cluster");
  EXPECT_EQ(islands[2].ranks, 16u);
}

TEST(Hosts, WhatIsNoListIsRefused) {
  for (const char* text : {"", "a", "a:", "a:0", "a:-1", "a:x", ":4", "a:4,", ",a:4", "a:4,a:2", "-o:4", "a b:4",
                           "a;reboot:4", "a:99999999", "$(x):2"}) {
    EXPECT_THROW(parse_hosts(text), runtime::UserError) << text;
  }
}

TEST(Hosts, RanksOfAHostAreCountedThroughItsIslands) {
  const std::vector<IslandSpec> islands = {
      {.host = "a", .ranks = 2}, {.host = "b", .ranks = 3}, {.host = "a", .ranks = 4}};
  EXPECT_EQ(place_on_host(islands, "a", 0), (PlaceOnHost{0, 6}));
  EXPECT_EQ(place_on_host(islands, "b", 2), (PlaceOnHost{0, 3}));
  EXPECT_EQ(place_on_host(islands, "a", 5), (PlaceOnHost{2, 6}));
  EXPECT_EQ(place_on_host(islands, "b", 4), (PlaceOnHost{2, 3}));  // one that comes back
  EXPECT_EQ(place_on_host(islands, "a", 8), (PlaceOnHost{5, 6}));
  EXPECT_EQ(place_on_host(islands, "c", 1), (PlaceOnHost{0, 0}));
}

}  // namespace
}  // namespace cadre::launch
