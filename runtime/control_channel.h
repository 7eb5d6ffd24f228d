// One authenticated connection of the control network: frames in order, or an end with a reason. Lives on one
// io_context that one thread runs.
//
//   client → server   hello: "CADRE\n", version, role, 32 random bytes
//   server → client   hello: likewise
//   client → server   HMAC of both hellos by the token
//   server → client   another HMAC of both hellos by the token
//   then, both ways   length (4 bytes), tag (16), payload
//
// The token itself is never sent. Each direction of each connection has a key of its own, made from token and hellos.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/authentication.h"

namespace cadre::runtime {

using ControlSocket = boost::asio::generic::stream_protocol::socket;

enum class ChannelEnd : std::uint8_t {
  kClosed,      // by the other end, or the network
  kClosedHere,  // by this end's own wish
  kSilent,      // did not say in time who it is, or later nothing for too long
  kCrowded,     // unauthenticated, and others waited to be heard
  kGarbage,     // another protocol
  kVersion,     // this protocol in another version
  kToken,       // does not know the run's token
  kTooLong,     // a frame over the limit
  kForged,      // a frame with a wrong tag: forged, repeated or moved
  kMalformed,   // a frame that holds no message
  kNotReading,  // takes less than what is sent to it
  kOutdated,    // a coordinator whose place another has taken
  kNobody,      // the other end's machine says that nobody listens there
};
inline constexpr std::size_t kChannelEnds = 13;
// In words that follow "the connection ended: ".
const char* describe(ChannelEnd end);

class ChannelError : public std::runtime_error {
 public:
  ChannelError(ChannelEnd end, const std::string& text) : std::runtime_error(text), end_(end) {}
  ChannelEnd end() const { return end_; }

 private:
  ChannelEnd end_;
};

struct ChannelLimits {
  std::size_t frame_bytes = std::size_t{16} << 20;  // of one payload, both ways
  std::size_t queue_bytes = std::size_t{64} << 20;  // accepted by send() and not yet by the kernel
};

class ControlChannel : public std::enable_shared_from_this<ControlChannel> {
 public:
  // Who speaks at the other end.
  enum class Role : std::uint8_t { kServer, kRank, kRelay };
  using Frame = std::shared_ptr<const std::string>;

  ControlChannel(ControlSocket socket, const ChannelLimits& limits);

  // Connects a socket that is not connected yet.
  boost::asio::awaitable<void> connect(boost::asio::generic::stream_protocol::endpoint address);

  // The handshake, from either side; the server's gives the client's role. ChannelError when it fails.
  boost::asio::awaitable<Role> accept(std::string token);
  boost::asio::awaitable<void> open(std::string token, Role own);

  // The next frame's payload, valid until the next call. ChannelError at the end. After a handshake only.
  boost::asio::awaitable<std::string_view> receive();

  // Queues a frame (empty: a sign of life), without waiting; ends the channel as kNotReading when the queue is full.
  // After a handshake only.
  void send(Frame payload);

  // The first end counts: closes the socket and makes receive() throw it.
  void end(ChannelEnd why);
  // Ends it as kClosedHere when all that is queued was given to the kernel.
  void end_when_sent();
  std::optional<ChannelEnd> ended() const { return ended_; }

 private:
  static constexpr std::size_t kHeaderBytes = 4;
  static constexpr std::size_t kFrameOverhead = kHeaderBytes + sizeof(FrameTag);
  static constexpr std::size_t kHandshakeBytes = 256;  // no more is read before a client is authenticated
  static constexpr std::size_t kFramesPerWrite = 32;

  boost::asio::awaitable<std::string_view> take(std::size_t bytes);
  boost::asio::awaitable<void> put(std::string bytes);
  std::string take_hello(std::string_view bytes, Role* role);
  [[noreturn]] void fail(ChannelEnd why);
  void derive_keys(const Key& session, bool server);
  void write_next();
  void written(const boost::system::error_code& error);

  ControlSocket socket_;
  ChannelLimits limits_;
  std::optional<ChannelEnd> ended_;
  std::optional<FrameSealer> incoming_, outgoing_;

  // Bytes [begin_, end_) of buffer_ are read and not yet taken.
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;

  std::deque<Frame> queue_;  // its first writing_ frames are with the kernel
  std::size_t queued_bytes_ = 0, writing_ = 0;
  std::array<std::array<char, kFrameOverhead>, kFramesPerWrite> headers_{};
  bool broken_ = false;  // a write failed
  bool end_when_sent_ = false;
};

}  // namespace cadre::runtime
