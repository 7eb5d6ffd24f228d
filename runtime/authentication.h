// What proves that a control connection's ends both know the run's token, and that each frame is the next one of the
// other end. OpenSSL computes it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace cadre::runtime {

using Key = std::array<unsigned char, 32>;
using FrameTag = std::array<unsigned char, 16>;

Key random_bytes();

// HMAC-SHA256 (RFC 2104).
Key hmac_sha256(std::string_view key, std::string_view text);
Key hmac_sha256(const Key& key, std::string_view text);

// In a time that does not tell where they differ.
bool same(std::span<const unsigned char> left, std::span<const unsigned char> right);

// Tags the frames of one direction of one connection: GMAC (NIST SP 800-38D) with AES-256, the frame's number as nonce.
// The number is counted at both ends and never sent: a frame that is repeated, left out or moved has a wrong tag.
class FrameSealer {
 public:
  // The key must be of this direction and connection alone.
  explicit FrameSealer(const Key& key);
  ~FrameSealer();
  FrameSealer(FrameSealer&&) noexcept;
  FrameSealer& operator=(FrameSealer&&) noexcept;

  // Of the next frame.
  FrameTag tag(std::string_view header, std::string_view payload);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cadre::runtime
