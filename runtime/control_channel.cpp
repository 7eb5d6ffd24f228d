#include "runtime/control_channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/codec.h"
#include "runtime/error.h"

namespace cadre::runtime {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kMagic = "CADRE\n";
constexpr std::size_t kHelloBytes = kMagic.size() + sizeof kProtocolVersion + 1 + sizeof(Key);
constexpr std::size_t kFirstBuffer = 4096, kKeptBuffer = 65536;

template <typename Bytes>
std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string make_hello(ControlChannel::Role own) {
  std::string hello(kMagic);
  hello += static_cast<char>(kProtocolVersion & 0xFF);
  hello += static_cast<char>(kProtocolVersion >> 8);
  hello += static_cast<char>(own);
  hello += text_of(random_bytes());
  return hello;
}

std::span<const unsigned char> bytes_of(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

}  // namespace

const char* describe(ChannelEnd end) {
  switch (end) {
    case ChannelEnd::kClosed:
      return "closed by the other end";
    case ChannelEnd::kClosedHere:
      return "closed here";
    case ChannelEnd::kSilent:
      return "the other end was silent for too long";
    case ChannelEnd::kCrowded:
      return "closed for others that waited";
    case ChannelEnd::kGarbage:
      return "the other end does not speak this protocol";
    case ChannelEnd::kVersion:
      return "the other end speaks another version of this protocol";
    case ChannelEnd::kToken:
      return "the other end does not know this run's token";
    case ChannelEnd::kTooLong:
      return "a frame is longer than allowed";
    case ChannelEnd::kForged:
      return "a frame is forged, repeated or out of order";
    case ChannelEnd::kMalformed:
      return "a frame holds no message";
    case ChannelEnd::kNotReading:
      return "the other end does not read what is sent to it";
    case ChannelEnd::kOutdated:
      return "the other end is a coordinator whose place another has taken";
    case ChannelEnd::kNobody:
      return "nobody listens there";
  }
  return "unknown";
}

ControlChannel::ControlChannel(ControlSocket socket, const ChannelLimits& limits)
    : socket_(std::move(socket)), limits_(limits), buffer_(kHandshakeBytes) {}

void ControlChannel::fail(ChannelEnd why) {
  end(why);
  throw ChannelError(*ended_, describe(*ended_));
}

void ControlChannel::end(ChannelEnd why) {
  if (ended_) return;
  ended_ = why;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

// ---- handshake

asio::awaitable<void> ControlChannel::connect(asio::generic::stream_protocol::endpoint address) {
  boost::system::error_code error;
  co_await socket_.async_connect(address, asio::redirect_error(asio::use_awaitable, error));
  if (ended_) fail(*ended_);
  if (error) {
    const bool nobody = error == boost::asio::error::connection_refused || error.value() == ENOENT;
    const ChannelEnd why = nobody ? ChannelEnd::kNobody : ChannelEnd::kClosed;
    end(why);
    throw ChannelError(why, error.message());
  }
  const int yes = 1;
  if (address.data()->sa_family != AF_UNIX) {
    static_cast<void>(::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
  }
}

std::string ControlChannel::take_hello(std::string_view bytes, Role* role) {
  if (!bytes.starts_with(kMagic)) fail(ChannelEnd::kGarbage);
  const auto at = [&](std::size_t offset) { return static_cast<unsigned char>(bytes[kMagic.size() + offset]); };
  if ((at(0) | at(1) << 8) != kProtocolVersion) fail(ChannelEnd::kVersion);
  if (at(2) > static_cast<unsigned char>(Role::kRelay)) fail(ChannelEnd::kGarbage);
  *role = static_cast<Role>(at(2));
  return std::string(bytes);
}

asio::awaitable<ControlChannel::Role> ControlChannel::accept(std::string token) {
  const std::string own = make_hello(Role::kServer);
  const std::string_view bytes = co_await take(kHelloBytes);
  const std::string seen(bytes);
  // Also to a client of another version, which learns from it what is wrong.
  if (seen.starts_with(kMagic)) co_await put(own);
  Role role = Role::kServer;
  const std::string theirs = take_hello(seen, &role);
  if (role == Role::kServer) fail(ChannelEnd::kGarbage);
  const Key session = hmac_sha256(token, theirs + own);
  const std::string_view proof = co_await take(sizeof(Key));
  if (!same(bytes_of(proof), hmac_sha256(session, "client"))) fail(ChannelEnd::kToken);
  co_await put(std::string(text_of(hmac_sha256(session, "server"))));
  derive_keys(session, true);
  co_return role;
}

asio::awaitable<void> ControlChannel::open(std::string token, Role own_role) {
  const std::string own = make_hello(own_role);
  co_await put(own);
  const std::string_view bytes = co_await take(kHelloBytes);
  Role role = Role::kServer;
  const std::string theirs = take_hello(bytes, &role);
  if (role != Role::kServer) fail(ChannelEnd::kGarbage);
  const Key session = hmac_sha256(token, own + theirs);
  co_await put(std::string(text_of(hmac_sha256(session, "client"))));
  std::string_view proof;
  try {
    proof = co_await take(sizeof(Key));
  } catch (const ChannelError& error) {
    // A server closes here, and only here, when the proof is wrong.
    if (error.end() == ChannelEnd::kClosed) throw ChannelError(ChannelEnd::kToken, describe(ChannelEnd::kToken));
    throw;
  }
  if (!same(bytes_of(proof), hmac_sha256(session, "server"))) fail(ChannelEnd::kToken);
  derive_keys(session, false);
}

void ControlChannel::derive_keys(const Key& session, bool server) {
  FrameSealer of_client(hmac_sha256(session, "frames of the client"));
  FrameSealer of_server(hmac_sha256(session, "frames of the server"));
  incoming_.emplace(std::move(server ? of_client : of_server));
  outgoing_.emplace(std::move(server ? of_server : of_client));
}

// ---- receiving

// The next `bytes` bytes, valid until the next call. Memory grows with what has come, not with what was announced.
asio::awaitable<std::string_view> ControlChannel::take(std::size_t bytes) {
  while (!ended_ && end_ - begin_ < bytes) {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == buffer_.size()) buffer_.resize(std::min(2 * buffer_.size(), std::max(bytes, kFirstBuffer)));
    boost::system::error_code error;
    const std::size_t got = co_await socket_.async_read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_),
                                                             asio::redirect_error(asio::use_awaitable, error));
    if (error) fail(end_when_sent_ ? ChannelEnd::kClosedHere : ChannelEnd::kClosed);
    end_ += got;
  }
  if (ended_) fail(*ended_);
  const std::string_view taken(buffer_.data() + begin_, bytes);
  begin_ += bytes;
  co_return taken;
}

asio::awaitable<std::string_view> ControlChannel::receive() {
  CADRE_CHECK(incoming_.has_value(), "before the handshake");
  if (begin_ == end_ && buffer_.size() > kKeptBuffer) {
    buffer_ = std::vector<char>(kFirstBuffer);
    begin_ = end_ = 0;
  }
  const std::string_view head = co_await take(kFrameOverhead);
  const std::string header(head.substr(0, kHeaderBytes));
  FrameTag tag;
  std::memcpy(tag.data(), head.data() + kHeaderBytes, tag.size());
  std::uint32_t length = 0;
  std::memcpy(&length, header.data(), sizeof length);
  if (length > limits_.frame_bytes) fail(ChannelEnd::kTooLong);
  const std::string_view payload = co_await take(length);
  if (!same(tag, incoming_->tag(header, payload))) fail(ChannelEnd::kForged);
  co_return payload;
}

// ---- sending

asio::awaitable<void> ControlChannel::put(std::string bytes) {
  boost::system::error_code error;
  co_await asio::async_write(socket_, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
  if (error || ended_) fail(ChannelEnd::kClosed);
}

void ControlChannel::send(Frame payload) {
  CADRE_CHECK(outgoing_.has_value(), "before the handshake");
  CADRE_CHECK(payload->size() <= limits_.frame_bytes, "payload->size() = ", payload->size());
  if (ended_ || broken_ || end_when_sent_) return;
  if (queued_bytes_ + payload->size() + kFrameOverhead > limits_.queue_bytes) return end(ChannelEnd::kNotReading);
  queued_bytes_ += payload->size() + kFrameOverhead;
  queue_.push_back(std::move(payload));
  if (writing_ == 0) write_next();
}

void ControlChannel::write_next() {
  std::vector<asio::const_buffer> buffers;
  writing_ = std::min(queue_.size(), kFramesPerWrite);
  for (std::size_t i = 0; i < writing_; ++i) {
    const std::string& payload = *queue_[i];
    const auto length = static_cast<std::uint32_t>(payload.size());
    std::array<char, kFrameOverhead>& header = headers_[i];
    std::memcpy(header.data(), &length, kHeaderBytes);
    const FrameTag tag = outgoing_->tag({header.data(), kHeaderBytes}, payload);
    std::memcpy(header.data() + kHeaderBytes, tag.data(), tag.size());
    buffers.push_back(asio::buffer(header));
    buffers.push_back(asio::buffer(payload));
  }
  asio::async_write(socket_, buffers, [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
    self->written(error);
  });
}

void ControlChannel::written(const boost::system::error_code& error) {
  if (ended_) return;
  // What the other end said before it closed may still be unread: receive() finds the end.
  if (error) {
    broken_ = true;
    queue_.clear();
    return;
  }
  for (; writing_ > 0; --writing_) {
    queued_bytes_ -= queue_.front()->size() + kFrameOverhead;
    queue_.pop_front();
  }
  if (!queue_.empty()) {
    write_next();
  } else if (end_when_sent_) {
    end_when_sent();
  }
}

// Half of the connection only: the other end takes what is under way, closes, and receive() sees that.
void ControlChannel::end_when_sent() {
  end_when_sent_ = true;
  if (ended_ || writing_ > 0) return;
  boost::system::error_code ignored;
  socket_.shutdown(ControlSocket::shutdown_send, ignored);
}

}  // namespace cadre::runtime
