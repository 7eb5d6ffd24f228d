// Messages as bytes: little-endian, doubles by their bits, one encoding for each value. A decoder trusts no length: it
// is compared with what is left before memory is taken, and whatever is not exactly one whole message is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/messages.h"

namespace cadre::runtime {

// Of messages and frames together: both ends of a channel must have the same. To be raised with every change of
// messages.h.
inline constexpr std::uint16_t kProtocolVersion = 8;

std::string encode(const MemberMessage& message);
std::string encode(const CoordinatorMessage& message);

// Nothing when `bytes` are not what encode() gives for some message.
std::optional<MemberMessage> decode_member_message(std::string_view bytes);
std::optional<CoordinatorMessage> decode_coordinator_message(std::string_view bytes);

}  // namespace cadre::runtime
