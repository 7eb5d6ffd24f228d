#include "runtime/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace cadre::runtime {
namespace {

// RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and counting up; and the usual check value.
TEST(Crc32c, GivesThePublishedValues) {
  std::string counting;
  for (char i = 0; i < 32; ++i) counting += i;
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(counting), 0x46dd794eu);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

}  // namespace
}  // namespace cadre::runtime
