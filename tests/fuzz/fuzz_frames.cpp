// Any bytes as the header of a frame between ranks, and as all that a peer says in the handshake of either channel,
// from either side: taken, or refused. Nobody gets in, and nothing waits for ever.
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "comm/tcp_frame.h"
#include "comm/tcp_handshake.h"
#include "runtime/control_channel.h"
#include "runtime/digest.h"
#include "runtime/error.h"

namespace {

using namespace cadre;
namespace asio = boost::asio;
using asio::generic::stream_protocol;
using runtime::ControlChannel;

constexpr std::size_t kMostBytes = 1 << 16;  // a socket takes them at once

// With its own hash mended: a chance that is one in 2^64 is none.
void read_header(const std::uint8_t* bytes, std::size_t size) {
  comm::FrameHeaderBytes header = {};
  std::memcpy(header.data(), bytes, std::min(size, header.size()));
  const auto hash = runtime::digest_of(std::span(header).first(header.size() - sizeof(std::uint64_t)));
  std::memcpy(header.data() + header.size() - sizeof hash, &hash, sizeof hash);
  const auto frame = comm::decode_frame(header);
  if (!frame) return;
  CADRE_CHECK(comm::encode(*frame) == header, "header");
  CADRE_CHECK(frame->length <= comm::kFrameBytes && frame->offset <= frame->message_bytes &&
                  frame->length <= frame->message_bytes - frame->offset,
              "length = ", frame->length);
}

// What `answer` does with a peer that says these bytes and closes.
template <typename Answer>
void meet(const std::uint8_t* bytes, std::size_t size, const Answer& answer) {
  asio::io_context io;
  int ends[2];
  CADRE_CHECK(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
  stream_protocol::socket own(io, stream_protocol(AF_UNIX, 0), ends[0]);
  stream_protocol::socket peer(io, stream_protocol(AF_UNIX, 0), ends[1]);
  asio::write(peer, asio::buffer(bytes, std::min(size, kMostBytes)));
  peer.shutdown(stream_protocol::socket::shutdown_send);
  asio::co_spawn(io, answer(std::move(own)), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  io.run();
}

const std::string kToken(32, 't');

asio::awaitable<void> hear_claim(stream_protocol::socket socket) {
  const comm::Heard heard = co_await comm::hear_claim(socket, kToken);
  CADRE_CHECK(!heard.introduction, "a claim was proven");
}

asio::awaitable<void> make_claim(stream_protocol::socket socket) {
  const auto answer = co_await comm::make_claim(socket, {.from = {1, 1}, .to = {2, 1}, .stamp = {1, 0, 1}}, kToken);
  CADRE_CHECK(!answer, "an answer was proven");
}

asio::awaitable<void> accept_rank(stream_protocol::socket socket) {
  const auto channel = std::make_shared<ControlChannel>(std::move(socket), runtime::ChannelLimits{});
  try {
    co_await channel->accept(kToken);
  } catch (const runtime::ChannelError&) {
    co_return;
  }
  CADRE_CHECK(false, "a client was let in");
}

asio::awaitable<void> join_coordinator(stream_protocol::socket socket) {
  const auto channel = std::make_shared<ControlChannel>(std::move(socket), runtime::ChannelLimits{});
  try {
    co_await channel->open(kToken, ControlChannel::Role::kRank);
  } catch (const runtime::ChannelError&) {
    co_return;
  }
  CADRE_CHECK(false, "a server was believed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  switch (bytes[0] % 5) {
    case 0:
      read_header(bytes + 1, size - 1);
      break;
    case 1:
      meet(bytes + 1, size - 1, hear_claim);
      break;
    case 2:
      meet(bytes + 1, size - 1, make_claim);
      break;
    case 3:
      meet(bytes + 1, size - 1, accept_rank);
      break;
    default:
      meet(bytes + 1, size - 1, join_coordinator);
  }
  return 0;
}
