// What the TCP transport does with strangers, impostors and broken peers.
#include "comm/tcp_transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <future>
#include <string>
#include <thread>

#include "comm/tcp_frame.h"
#include "comm/tcp_handshake.h"
#include "comm/tcp_listeners.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "tests/unit/comm/tcp_world.h"

namespace cadre::comm {
namespace {

namespace asio = boost::asio;
using Bytes = std::vector<std::byte>;
using std::chrono::milliseconds;

constexpr const char* kToken = "a token of this test";

// A client that says what a test wants.
class Client {
 public:
  explicit Client(const TcpTransport& to) { socket_.connect(*to_socket_endpoint(to.endpoints().front())); }

  void say(const auto& bytes) {
    boost::system::error_code closed_meanwhile;
    asio::write(socket_, asio::buffer(bytes), closed_meanwhile);
  }
  // Blocks until the other side closes.
  void hear_the_end() {
    boost::system::error_code error;
    std::array<std::byte, 4096> ignored;
    while (!error) socket_.read_some(asio::buffer(ignored), error);
  }
  std::optional<Answer> claim(const Claim& claim, const std::string& token) {
    auto answer = asio::co_spawn(io_, make_claim(socket_, claim, token), asio::use_future);
    io_.restart();
    io_.run();
    return answer.get();
  }

 private:
  asio::io_context io_;
  StreamSocket socket_{io_};
};

Claim claim_of(TcpWorld& world, const runtime::View& view, int from, int to) {
  return {.from = {world.member(from).rank, world.member(from).incarnation},
          .to = {world.member(to).rank, world.member(to).incarnation},
          .stamp = view.stamp};
}

std::optional<std::string> why_receive_fails(
    Communicator& communicator, int from, Bytes& bytes, const std::function<void()>& meanwhile = [] {}) {
  const auto ticket = communicator.start({.receives = {{.from = from, .bytes = bytes}}});
  meanwhile();
  try {
    communicator.wait(ticket);
  } catch (const CommError& error) {
    EXPECT_EQ(error.peer(), from);
    return error.what();
  }
  return std::nullopt;
}

void expect_works(TcpWorld& world) {
  const auto view = world.next_view();
  Bytes in(4);
  const Bytes out(4, std::byte{7});
  const auto sent = view[1]->start({.sends = {{.to = 0, .bytes = out}}});
  view[0]->wait(view[0]->start({.receives = {{.from = 1, .bytes = in}}}));
  view[1]->wait(sent);
  EXPECT_EQ(in, out);
}

TEST(TcpTransport, ListensOnLoopbackAndNowhereElseUnlessAsked) {
  const auto transport = make_tcp_transport({.token = kToken});
  ASSERT_EQ(transport->endpoints().size(), 1u);
  EXPECT_EQ(transport->endpoints().front().address, "127.0.0.1");
  EXPECT_NE(transport->endpoints().front().port, 0);
  EXPECT_THROW(make_tcp_transport({.token = kToken, .addresses = {"localhost"}}), runtime::RunError);
}

TEST(TcpTransport, AUnixSocketHasANameInTheKernelAndNoneOnDisk) {
  const auto one = make_tcp_transport({.token = kToken, .unix_socket = true});
  const auto other = make_tcp_transport({.token = kToken, .unix_socket = true});
  const std::vector<runtime::Endpoint> endpoints = one->endpoints();
  ASSERT_EQ(endpoints.size(), 2u);
  EXPECT_TRUE(endpoints[0].address.starts_with('@')) << endpoints[0].address;
  EXPECT_EQ(endpoints[0].port, 0);
  EXPECT_EQ(endpoints[1].address, "127.0.0.1");
  EXPECT_NE(other->endpoints()[0].address, endpoints[0].address);
  TcpWorld world(2, true);
  for (const int member : {0, 1}) world.member(member).endpoints.pop_back();
  expect_works(world);
}

// Such as a process of the same host in another network namespace, or one whose name the view has wrong.
TEST(TcpTransport, WhereTheUnixSocketIsNotThereTheNetworkIsTaken) {
  for (const std::string& name : {std::string("nobody listens here"), std::string(500, 'x'), std::string()}) {
    TcpWorld world(2, true);
    for (const int member : {0, 1}) {
      ASSERT_EQ(world.member(member).endpoints.size(), 2u);
      world.member(member).endpoints[0].address = "@" + name;
    }
    expect_works(world);
  }
}

TEST(TcpTransport, GarbageIsRefusedAndHarmless) {
  TcpWorld world(2, false);
  Client client(world.transport(0));
  client.say(std::string(100'000, 'G'));
  client.hear_the_end();
  EXPECT_EQ(world.transport(0).counters().refused, 1u);
  expect_works(world);
}

TEST(TcpTransport, WhoeverIsRefusedIsTold) {
  const struct {
    std::string hello, why;
  } cases[] = {{"", "closed before they said who they are"},
               {"Cdre", "closed before they said who they are"},
               {"GET / HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n", "garbage"},
               {"Cdrerh99" + std::string(32, ' '), "another version"},
               {"Cdrerh11" + std::string(32 + 88, ' '), "a wrong token"}};
  for (const auto& [hello, why] : cases) {
    std::promise<std::string> told;
    const auto tell = [&](const std::string& line) { told.set_value(line); };
    const auto transport = make_tcp_transport({.token = kToken, .tell_refusals = tell});
    std::optional<Client> client(std::in_place, *transport);
    client->say(hello);
    if (hello.size() < 40) client.reset();
    EXPECT_EQ(told.get_future().get(), "1 connection was refused: 1 " + why);
  }
}

TEST(TcpTransport, ASilentClientIsRefusedAtTheDeadline) {
  TcpWorld world(2, false, {.handshake_deadline = milliseconds(30)});
  Client silent(world.transport(0)), slow(world.transport(0));
  slow.say(std::string("Cd"));
  silent.hear_the_end();
  slow.hear_the_end();
  // The socket is closed first and counted a moment later.
  for (int i = 0; i < 100'000 && world.transport(0).counters().refused < 2; ++i) std::this_thread::yield();
  EXPECT_EQ(world.transport(0).counters().refused, 2u);
}

// With all places taken by silent strangers whose deadline is far away.
TEST(TcpTransport, ManySilentClientsHarmNobody) {
  TcpWorld world(2, false,
                 {.handshake_deadline = std::chrono::hours(1), .half_open = 4, .handshake_grace = milliseconds(20)});
  std::vector<std::unique_ptr<Client>> clients;
  for (const int member : {0, 1}) {
    for (int client = 0; client < 12; ++client) clients.push_back(std::make_unique<Client>(world.transport(member)));
  }
  expect_works(world);
  EXPECT_GE(world.transport(0).counters().refused + world.transport(1).counters().refused, 8u);
}

// As does one that has no place for a newcomer, or no descriptor.
TEST(TcpTransport, APeerThatClosesManyTimesIsTriedAgain) {
  asio::io_context io;
  asio::ip::tcp::acceptor busy(io, {asio::ip::make_address("127.0.0.1"), 0});
  const std::string token = kToken;
  TcpWorld world(2, false, {.retry_limit = std::chrono::hours(1)});
  world.member(1).endpoints = {{.address = "127.0.0.1", .port = busy.local_endpoint().port()}};
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  auto peer = std::async(std::launch::async, [&] {
    for (int i = 0; i < 11; ++i) busy.accept().close();
    StreamSocket socket(busy.accept());
    auto heard = asio::co_spawn(io, hear_claim(socket, token), asio::use_future);
    io.run();
    const Introduction introduction = heard.get().introduction.value();
    asio::write(socket, asio::buffer(encode_answer(Answer::kAccepted, introduction, token)));
    std::array<std::byte, kFrameHeaderBytes + 10> frame;
    return asio::read(socket, asio::buffer(frame));
  });
  const Bytes out(10);
  try {
    communicator->wait(communicator->start({.sends = {{.to = 1, .bytes = out}}}));
  } catch (const CommError& error) {
    ::shutdown(busy.native_handle(), SHUT_RDWR);
    FAIL() << error.what();
  }
  EXPECT_EQ(peer.get(), kFrameHeaderBytes + 10);
}

TEST(TcpTransport, AnotherTokenIsRefused) {
  TcpWorld world(2, false);
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  Client client(world.transport(0));
  EXPECT_EQ(client.claim(claim_of(world, view, 1, 0), "another run's token"), std::nullopt);
  EXPECT_EQ(world.transport(0).counters().refused, 1u);
  expect_works(world);
}

// Both sides prove the token: a listener that does not hold it gets no frame.
TEST(TcpTransport, APeerWithAnotherTokenIsNotBelieved) {
  TcpWorld world(2, false, {.retry_limit = milliseconds(50)});
  const auto impostor = make_tcp_transport({.token = "another run's token"});
  world.member(1).endpoints = impostor->endpoints();
  const auto communicator = world.enter(world.plan_view(), 0);
  Bytes in(1);
  const auto why = why_receive_fails(*communicator, 1, in);
  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("before it proved the run's token"), std::string::npos) << *why;
}

TEST(TcpTransport, AnotherIncarnationIsRefused) {
  TcpWorld world(2, false);
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  Claim claim = claim_of(world, view, 1, 0);
  claim.from.incarnation = 2;
  EXPECT_EQ(Client(world.transport(0)).claim(claim, kToken), Answer::kRefused);
  claim = claim_of(world, view, 1, 0);
  claim.to.incarnation = 0;
  EXPECT_EQ(Client(world.transport(0)).claim(claim, kToken), Answer::kRefused);
  claim = claim_of(world, view, 1, 0);
  claim.from.rank = 77;
  EXPECT_EQ(Client(world.transport(0)).claim(claim, kToken), Answer::kRefused);
  EXPECT_EQ(world.transport(0).counters().refused, 3u);
}

TEST(TcpTransport, AClaimOfANewerViewIsAnsweredOnceThatViewIsThere) {
  TcpWorld world(2, false);
  const auto view = world.plan_view();
  Client client(world.transport(0));
  auto answer = std::async(std::launch::async, [&] { return client.claim(claim_of(world, view, 1, 0), kToken); });
  const auto communicator = world.enter(view, 0);
  EXPECT_EQ(answer.get(), Answer::kAccepted);
}

TEST(TcpTransport, AFrameThatIsNoneIsThePeersError) {
  TcpWorld world(2, false);
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  Client client(world.transport(0));
  ASSERT_EQ(client.claim(claim_of(world, view, 1, 0), kToken), Answer::kAccepted);
  Bytes in(10);
  const auto oversized = [&] { client.say(encode({.stamp = view.stamp, .message_bytes = 10, .length = 1u << 31})); };
  EXPECT_EQ(why_receive_fails(*communicator, 1, in, oversized), "rank 13 sent what is not a frame");
  client.hear_the_end();
}

TEST(TcpTransport, ADamagedPayloadIsThePeersError) {
  TcpWorld world(2, false);
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  Client client(world.transport(0));
  ASSERT_EQ(client.claim(claim_of(world, view, 1, 0), kToken), Answer::kAccepted);
  Bytes payload(10), in(10);
  client.say(
      encode({.stamp = view.stamp, .message_bytes = 10, .length = 10, .payload_hash = runtime::digest_of(payload)}));
  payload[3] ^= std::byte{4};
  client.say(payload);
  const auto why = why_receive_fails(*communicator, 1, in);
  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("damaged frame"), std::string::npos) << *why;
}

// What went on the old connection may be lost with it, so a peer that still listens does not help.
TEST(TcpTransport, AConnectionThatCarriedAFrameOfThisViewIsNotReplaced) {
  TcpWorld world(2, false);
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  Bytes in(10);
  std::optional<Client> client(std::in_place, world.transport(0));
  ASSERT_EQ(client->claim(claim_of(world, view, 1, 0), kToken), Answer::kAccepted);
  const auto half_a_message = [&] {
    client->say(
        encode({.stamp = view.stamp, .message_bytes = 10, .length = 5, .payload_hash = runtime::digest_of(Bytes(5))}));
    client->say(Bytes(5));
    client.reset();
  };
  EXPECT_EQ(why_receive_fails(*communicator, 1, in, half_a_message), "rank 13 closed the connection");
}

// A peer that never finishes a frame after an abort: the connection is given up at the deadline, and a new one is made.
TEST(TcpTransport, AnUnfinishedFrameOfAnEndedViewCostsTheConnection) {
  TcpWorld world(2, false, {.drain_deadline = milliseconds(20)});
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  Client client(world.transport(0));
  ASSERT_EQ(client.claim(claim_of(world, view, 1, 0), kToken), Answer::kAccepted);
  const Bytes half(5);
  client.say(encode({.stamp = view.stamp, .message_bytes = 10, .length = 10}));
  client.say(half);
  Bytes in(10);
  const auto ticket = communicator->start({.receives = {{.from = 1, .bytes = in}}});
  communicator->abort("given up");
  EXPECT_THROW(communicator->wait(ticket), Aborted);
  client.hear_the_end();
  expect_works(world);
}

TEST(TcpTransport, AFrameThatComesAfterItsViewHasEndedMustBeFinishedToo) {
  TcpWorld world(2, false, {.drain_deadline = milliseconds(20)});
  const auto view = world.plan_view();
  const auto communicator = world.enter(view, 0);
  Client client(world.transport(0));
  ASSERT_EQ(client.claim(claim_of(world, view, 1, 0), kToken), Answer::kAccepted);
  communicator->abort("given up");
  Bytes in(10);
  EXPECT_THROW(communicator->wait(communicator->start({.receives = {{.from = 1, .bytes = in}}})), Aborted);
  client.say(encode({.stamp = view.stamp, .message_bytes = 10, .length = 10}));
  client.say(Bytes(5));
  client.hear_the_end();
  expect_works(world);
}

}  // namespace
}  // namespace cadre::comm
