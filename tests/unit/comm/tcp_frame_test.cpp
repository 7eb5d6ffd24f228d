#include "comm/tcp_frame.h"

#include <gtest/gtest.h>

#include <vector>

namespace cadre::comm {
namespace {

const FrameHeader kHeader{.stamp = {.term = 1, .generation = 2, .view = 3},
                          .message = 4,
                          .message_bytes = 1'000'000,
                          .offset = 262'144,
                          .length = 262'144,
                          .payload_hash = 0x123456789ABCDEF0};

TEST(TcpFrame, ComesBackAsItWas) {
  EXPECT_EQ(decode_frame(encode(kHeader)), kHeader);
}

TEST(TcpFrame, NoBitOfAHeaderMayFlip) {
  const FrameHeaderBytes good = encode(kHeader);
  for (std::size_t bit = 0; bit < 8 * kFrameHeaderBytes; ++bit) {
    FrameHeaderBytes bytes = good;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(decode_frame(bytes).has_value()) << bit;
  }
}

TEST(TcpFrame, ClaimsNoMoreThanAFrameOrItsMessageHolds) {
  const auto with = [](auto change) {
    FrameHeader header = kHeader;
    change(header);
    return decode_frame(encode(header)).has_value();
  };
  EXPECT_TRUE(with([](FrameHeader& header) { header.offset = 1'000'000 - header.length; }));
  EXPECT_FALSE(with([](FrameHeader& header) { header.offset = 1'000'001 - header.length; }));
  EXPECT_FALSE(with([](FrameHeader& header) { header.offset = ~std::uint64_t{0}; }));
  EXPECT_FALSE(with([](FrameHeader& header) { header.length = kFrameBytes + 1; }));
}

}  // namespace
}  // namespace cadre::comm
