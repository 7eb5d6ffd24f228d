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

}  // namespace
}  // namespace cadre::launch
