#include "comm/tcp_frame.h"

#include <cstring>

#include "runtime/digest.h"

namespace cadre::comm {
namespace {

constexpr std::uint32_t kMagic = 0x31664443;  // "CDf1"

template <typename Integer>
void put(std::byte*& at, Integer value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}

template <typename Integer>
Integer take(const std::byte*& at) {
  Integer value;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}

}  // namespace

FrameHeaderBytes encode(const FrameHeader& header) {
  FrameHeaderBytes bytes;
  std::byte* at = bytes.data();
  put(at, kMagic);
  put(at, header.length);
  put(at, header.stamp.term);
  put(at, header.stamp.generation);
  put(at, header.stamp.view);
  put(at, header.message);
  put(at, header.message_bytes);
  put(at, header.offset);
  put(at, header.payload_hash);
  put(at, runtime::digest_of(std::span(bytes).first(kFrameHeaderBytes - sizeof(std::uint64_t))));
  return bytes;
}

std::optional<FrameHeader> decode_frame(const FrameHeaderBytes& bytes) {
  const std::byte* at = bytes.data();
  if (take<std::uint32_t>(at) != kMagic) return std::nullopt;
  FrameHeader header;
  header.length = take<std::uint32_t>(at);
  header.stamp.term = take<std::uint64_t>(at);
  header.stamp.generation = take<std::uint64_t>(at);
  header.stamp.view = take<std::uint64_t>(at);
  header.message = take<std::uint64_t>(at);
  header.message_bytes = take<std::uint64_t>(at);
  header.offset = take<std::uint64_t>(at);
  header.payload_hash = take<std::uint64_t>(at);
  const auto own_hash = take<std::uint64_t>(at);
  if (own_hash != runtime::digest_of(std::span(bytes).first(kFrameHeaderBytes - sizeof own_hash))) return std::nullopt;
  if (header.length > kFrameBytes || header.offset > header.message_bytes ||
      header.length > header.message_bytes - header.offset) {
    return std::nullopt;
  }
  return header;
}

}  // namespace cadre::comm
