#include "runtime/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <set>

#include "runtime/bundle.h"
#include "tests/unit/runtime/sample_messages.h"

namespace cadre::runtime {
namespace {

// Bytes compare NaN as the bits that it is.
template <typename Message, typename Decode>
void expect_round_trips(const std::vector<Message>& messages, const Decode& decode) {
  std::set<std::size_t> kinds;
  for (const Message& message : messages) {
    kinds.insert(message.index());
    const std::string bytes = encode(message);
    const std::optional<Message> again = decode(bytes);
    ASSERT_TRUE(again.has_value()) << "kind " << message.index();
    EXPECT_EQ(again->index(), message.index());
    EXPECT_EQ(encode(*again), bytes) << "kind " << message.index();
    // Neither less nor more than one message.
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_FALSE(decode(std::string_view(bytes).substr(0, size)).has_value())
          << message.index() << " cut at " << size;
    }
    ASSERT_FALSE(decode(bytes + '\0').has_value()) << "kind " << message.index();
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<Message>) << "a kind without a sample";
}

TEST(Codec, EveryMessageOfAMemberComesBackAsItself) {
  expect_round_trips(sample_member_messages(), decode_member_message);
}

TEST(Codec, EveryMessageOfTheCoordinatorComesBackAsItself) {
  expect_round_trips(sample_coordinator_messages(), decode_coordinator_message);
}

TEST(Codec, FieldsKeepTheirValues) {
  for (const CoordinatorMessage& message : sample_coordinator_messages()) {
    if (std::holds_alternative<Commit>(message)) continue;  // holds a NaN, which equals nothing
    EXPECT_EQ(decode_coordinator_message(encode(message)), message) << message.index();
  }
  const auto commit = decode_coordinator_message(encode(CoordinatorMessage(Commit{{1, 2, 3}, 4, false, -0.0, {}})));
  ASSERT_TRUE(commit.has_value());
  EXPECT_EQ(std::bit_cast<std::uint64_t>(std::get<Commit>(*commit).clip_scale), std::bit_cast<std::uint64_t>(-0.0));
}

TEST(Codec, BytesAreLittleEndianAndFixed) {
  EXPECT_EQ(encode(MemberMessage(Failed{true, "ab"})), std::string("\x09\x01\x02\0\0\0ab", 8));
  EXPECT_EQ(encode(CoordinatorMessage(Fence{{1, 2, 0x0102}})),
            std::string("\x02\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0", 25));
}

TEST(Codec, AnnouncedSizesAreNotTrusted) {
  // An Evaluated of four billion losses, in 45 bytes; its digest comes last.
  std::string bytes = encode(MemberMessage(Evaluated{}));
  std::memset(bytes.data() + bytes.size() - 12, 0xFF, 4);
  EXPECT_FALSE(decode_member_message(bytes).has_value());
  // A string that is longer than what is left, by one.
  bytes = encode(MemberMessage(Failed{false, "abc"}));
  bytes[2] = 4;
  EXPECT_FALSE(decode_member_message(bytes).has_value());
}

TEST(Codec, WhatNoEncoderWritesIsRefused) {
  EXPECT_FALSE(decode_member_message("").has_value());
  EXPECT_FALSE(decode_member_message("\xFF").has_value());
  EXPECT_FALSE(
      decode_member_message(std::string(1, static_cast<char>(std::variant_size_v<MemberMessage>))).has_value());
  std::string bytes = encode(MemberMessage(Failed{true, ""}));
  bytes[1] = 2;  // neither true nor false
  EXPECT_FALSE(decode_member_message(bytes).has_value());
  bytes = encode(CoordinatorMessage(Proceed{}));
  bytes[25] = 5;  // no kind of order
  EXPECT_FALSE(decode_coordinator_message(bytes).has_value());
  // Keys of a map that do not ascend.
  bytes = encode(MemberMessage(ResultWritten{{}, {{"a", ""}, {"b", ""}}, ""}));
  bytes[bytes.find('b')] = 'a';
  EXPECT_FALSE(decode_member_message(bytes).has_value());
}

TEST(Codec, BundlesComeBackAsThemselves) {
  const Bundle bundle{{{BundleItem::Event::kOpen, {0}, "a Unix socket"},
                       {BundleItem::Event::kFrame, {0, 1, 4000000000}, std::string(300, '\0')},
                       {BundleItem::Event::kClose, {1}, ""}}};
  const std::string bytes = encode(bundle);
  EXPECT_EQ(decode_bundle(bytes), bundle);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(decode_bundle(std::string_view(bytes).substr(0, size)).has_value()) << size;
  }
  EXPECT_EQ(decode_bundle(encode(Bundle{})), Bundle{});
}

}  // namespace
}  // namespace cadre::runtime
