// Who is at the other end: both sides prove that they hold the run's token before a frame is accepted.
//
//   connector -> acceptor   hello      magic, nonce
//   acceptor  -> connector  challenge  magic, nonce
//   connector -> acceptor   claim      who I am, whom I look for, my view's stamp; HMAC over it and both nonces
//   acceptor  -> connector  answer     accepted, busy or refused; HMAC over it and all of the above
//
// Every message has a fixed size, so none can ask for memory. The answer may come late: the acceptor keeps a claim that
// is of a newer view than its own until it has that view.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/control_channel.h"
#include "runtime/members.h"

namespace cadre::comm {

using StreamSocket = boost::asio::generic::stream_protocol::socket;

struct Party {
  runtime::Rank rank = runtime::kAnyRank;
  std::uint32_t incarnation = 0;

  bool operator==(const Party&) const = default;
};

struct Claim {
  Party from = {};
  Party to = {};
  runtime::Stamp stamp = {};
};

enum class Answer : std::uint64_t {
  kAccepted = 1,
  kBusy = 2,  // there is a connection already, or the one that the acceptor is opening counts
  kRefused = 3,
};

// A claim whose proof holds, and what the answer's proof covers.
struct Introduction {
  Claim claim = {};
  std::string transcript = {};
};

// Neither: it closed after a whole hello, as a peer may whose connection crosses another.
struct Heard {
  std::optional<Introduction> introduction = {};
  std::optional<runtime::ChannelEnd> refusal = {};
};

inline constexpr std::size_t kAnswerBytes = 40;
std::array<std::byte, kAnswerBytes> encode_answer(Answer answer, const Introduction& to, const std::string& token);

// The acceptor's side up to the claim. No deadline of its own: closing the socket ends it.
boost::asio::awaitable<Heard> hear_claim(StreamSocket& socket, const std::string& token);
// Before the connector gives up a connection that its peer may have accepted, and would take for a stranger's.
void say_hello(StreamSocket& socket);
// The connector's side. nullopt: the peer closed the connection, or its proof does not hold.
boost::asio::awaitable<std::optional<Answer>> make_claim(StreamSocket& socket, Claim claim, const std::string& token);

}  // namespace cadre::comm
