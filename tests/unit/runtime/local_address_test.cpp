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

}  // namespace
}  // namespace cadre::runtime
