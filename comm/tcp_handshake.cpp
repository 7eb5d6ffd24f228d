#include "comm/tcp_handshake.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "runtime/error.h"

namespace cadre::comm {
namespace {

namespace asio = boost::asio;
using runtime::ChannelEnd;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

constexpr std::uint64_t kHelloMagic = 0x3131687265726443;      // "Cdrerh11"
constexpr std::uint64_t kChallengeMagic = 0x3131637265726443;  // "Cdrerc11"
constexpr std::uint64_t kNameMask = 0x0000FFFFFFFFFFFF;        // of either: all but its version, two digits
constexpr std::size_t kMacBytes = 32;

struct Greeting {
  std::uint64_t magic = 0;
  std::array<unsigned char, 32> nonce = {};
};
struct ClaimMessage {
  std::uint64_t from_rank = 0, from_incarnation = 0, to_rank = 0, to_incarnation = 0;
  std::uint64_t term = 0, generation = 0, view = 0;
  std::array<unsigned char, kMacBytes> mac = {};
};
struct AnswerMessage {
  std::uint64_t answer = 0;
  std::array<unsigned char, kMacBytes> mac = {};
};
static_assert(sizeof(Greeting) == 40 && sizeof(ClaimMessage) == 88 && sizeof(AnswerMessage) == kAnswerBytes);

template <typename Message>
std::string bytes_of(const Message& message, std::size_t bytes = sizeof(Message)) {
  return std::string(reinterpret_cast<const char*>(&message), bytes);
}

Greeting greeting(std::uint64_t magic) {
  Greeting result{.magic = magic};
  CADRE_CHECK(RAND_bytes(result.nonce.data(), static_cast<int>(result.nonce.size())) == 1, "no random bytes");
  return result;
}

std::array<unsigned char, kMacBytes> mac_of(const std::string& text, const std::string& token) {
  std::array<unsigned char, kMacBytes> mac = {};
  unsigned int size = 0;
  const unsigned char* made = HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()),
                                   reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  CADRE_CHECK(made != nullptr && size == kMacBytes, "HMAC");
  return mac;
}

bool same(const std::array<unsigned char, kMacBytes>& a, const std::array<unsigned char, kMacBytes>& b) {
  return CRYPTO_memcmp(a.data(), b.data(), kMacBytes) == 0;
}

std::string transcript_of(const Greeting& hello, const Greeting& challenge, const ClaimMessage& claim) {
  return bytes_of(hello) + bytes_of(challenge) + bytes_of(claim, sizeof claim - kMacBytes);
}

}  // namespace

std::array<std::byte, kAnswerBytes> encode_answer(Answer answer, const Introduction& to, const std::string& token) {
  AnswerMessage message{.answer = static_cast<std::uint64_t>(answer)};
  message.mac = mac_of("answer" + to.transcript + bytes_of(message.answer), token);
  std::array<std::byte, kAnswerBytes> bytes;
  std::memcpy(bytes.data(), &message, kAnswerBytes);
  return bytes;
}

asio::awaitable<Heard> hear_claim(StreamSocket& socket, const std::string& token) {
  Greeting hello;
  const auto [no_hello, hello_bytes] = co_await asio::async_read(socket, asio::buffer(&hello, sizeof hello), kAwait);
  if (no_hello) co_return Heard{.refusal = ChannelEnd::kClosed};
  if (hello.magic != kHelloMagic) {
    const bool is_ours = (hello.magic & kNameMask) == (kHelloMagic & kNameMask);
    co_return Heard{.refusal = is_ours ? ChannelEnd::kVersion : ChannelEnd::kGarbage};
  }
  const Greeting challenge = greeting(kChallengeMagic);
  const auto [not_sent, sent] = co_await asio::async_write(socket, asio::buffer(&challenge, sizeof challenge), kAwait);
  if (not_sent) co_return Heard{};
  ClaimMessage message;
  const auto [no_claim, got] = co_await asio::async_read(socket, asio::buffer(&message, sizeof message), kAwait);
  if (no_claim) co_return Heard{};
  std::string transcript = transcript_of(hello, challenge, message);
  if (!same(message.mac, mac_of("claim" + transcript, token))) co_return Heard{.refusal = ChannelEnd::kToken};
  const Claim claim{
      .from = {static_cast<runtime::Rank>(message.from_rank), static_cast<std::uint32_t>(message.from_incarnation)},
      .to = {static_cast<runtime::Rank>(message.to_rank), static_cast<std::uint32_t>(message.to_incarnation)},
      .stamp = {.term = message.term, .generation = message.generation, .view = message.view}};
  co_return Heard{.introduction = Introduction{.claim = claim, .transcript = std::move(transcript)}};
}

void say_hello(StreamSocket& socket) {
  const Greeting hello = greeting(kHelloMagic);
  boost::system::error_code not_connected;
  socket.non_blocking(true, not_connected);
  socket.write_some(asio::buffer(&hello, sizeof hello), not_connected);
}

asio::awaitable<std::optional<Answer>> make_claim(StreamSocket& socket, Claim claim, const std::string& token) {
  const Greeting hello = greeting(kHelloMagic);
  const auto [not_sent, sent] = co_await asio::async_write(socket, asio::buffer(&hello, sizeof hello), kAwait);
  if (not_sent) co_return std::nullopt;
  Greeting challenge;
  const auto [none, got] = co_await asio::async_read(socket, asio::buffer(&challenge, sizeof challenge), kAwait);
  if (none || challenge.magic != kChallengeMagic) co_return std::nullopt;
  ClaimMessage message{.from_rank = claim.from.rank,
                       .from_incarnation = claim.from.incarnation,
                       .to_rank = claim.to.rank,
                       .to_incarnation = claim.to.incarnation,
                       .term = claim.stamp.term,
                       .generation = claim.stamp.generation,
                       .view = claim.stamp.view};
  const std::string transcript = transcript_of(hello, challenge, message);
  message.mac = mac_of("claim" + transcript, token);
  const auto [lost, claimed] = co_await asio::async_write(socket, asio::buffer(&message, sizeof message), kAwait);
  if (lost) co_return std::nullopt;
  AnswerMessage answer;
  const auto [silent, heard] = co_await asio::async_read(socket, asio::buffer(&answer, sizeof answer), kAwait);
  if (silent || !same(answer.mac, mac_of("answer" + transcript + bytes_of(answer.answer), token))) {
    co_return std::nullopt;
  }
  co_return static_cast<Answer>(answer.answer);
}

}  // namespace cadre::comm
