// What travels on a TCP connection once the handshake is over: a header of 72 bytes, then `length` bytes of a message.
// All integers are little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "runtime/members.h"

namespace cadre::comm {

// The most that one frame carries. Small enough that an abort finishes or drains one at once and that its hash finds
// it in the cache; large enough that headers and system calls cost nothing.
inline constexpr std::size_t kFrameBytes = std::size_t{256} << 10;
inline constexpr std::size_t kFrameHeaderBytes = 72;

struct FrameHeader {
  runtime::Stamp stamp = {};
  std::uint64_t message = 0;        // number of the message among those of this direction and view
  std::uint64_t message_bytes = 0;  // what the receiver must have posted
  std::uint64_t offset = 0;         // of this frame's bytes in the message
  std::uint32_t length = 0;
  // TCP's own 16-bit sum lets one damaged segment in 65536 through.
  std::uint64_t payload_hash = 0;

  bool operator==(const FrameHeader&) const = default;
};

using FrameHeaderBytes = std::array<std::byte, kFrameHeaderBytes>;
FrameHeaderBytes encode(const FrameHeader& header);
// nullopt: not a frame of ours, a damaged one, or one that claims more than a frame or its message holds.
std::optional<FrameHeader> decode_frame(const FrameHeaderBytes& bytes);

}  // namespace cadre::comm
