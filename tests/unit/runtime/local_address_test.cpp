#include "runtime/local_address.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

TEST(LocalAddress, LoopbackFacesLoopback) {
  EXPECT_EQ(address_towards({"127.0.0.1", 9}), "127.0.0.1");
  EXPECT_EQ(address_towards({"127.0.0.7", 9}), "127.0.0.1");
  EXPECT_EQ(address_towards({"/run/socket", 0}), "127.0.0.1");
}

TEST(LocalAddress, WhatIsNoAddressIsRefused) {
  EXPECT_THROW(address_towards({"no-address", 9}), RunError);
}

TEST(LocalAddress, EachAddressStandsThereOnce) {
  using Addresses = std::vector<std::string>;
  EXPECT_EQ(addresses_towards({{"127.0.0.1", 9}, {"127.0.0.7", 10}}), Addresses{"127.0.0.1"});
  // What has no way is passed over, as long as one has.
  EXPECT_EQ(addresses_towards({{"no-address", 9}, {"127.0.0.1", 9}}), Addresses{"127.0.0.1"});
  EXPECT_THROW(addresses_towards({{"no-address", 9}}), RunError);
  EXPECT_THROW(addresses_towards({}), RunError);
}

}  // namespace
}  // namespace cadre::runtime
