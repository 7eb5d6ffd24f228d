// Server and client over loopback, in one process.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <filesystem>

#include "runtime/codec.h"
#include "tests/unit/runtime/sample_messages.h"
#include "tests/unit/runtime/served.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

using namespace std::chrono_literals;

std::string reason_of_loss(ControlClient& client) {
  try {
    for (;;) client.next();
  } catch (const ControlLost& lost) {
    return lost.what();
  }
}

TEST(Control, MessagesGoBothWaysInOrder) {
  Served served;
  ControlClient client(served.options());
  const std::vector<MemberMessage> sent = sample_member_messages();
  for (const MemberMessage& message : sent) client.send(message);
  for (std::uint32_t i = 0; i < 100; ++i) client.send(Note{false, std::to_string(i)});
  const Connection connection = served.connection();
  const std::size_t expected = sent.size() - 1 + 100;  // without the heartbeat
  ASSERT_TRUE(served.wait_for([&](Served& it) { return it.messages[connection].size() == expected; }));
  for (std::size_t i = 0; i + 1 < sent.size(); ++i) {
    EXPECT_EQ(encode(served.messages[connection][i]), encode(sent[i])) << i;
  }
  for (std::uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(std::get<Note>(served.messages[connection][sent.size() - 1 + i]).text, std::to_string(i));
  }
  for (const CoordinatorMessage& message : sample_coordinator_messages()) served.send(connection, message);
  for (const CoordinatorMessage& message : sample_coordinator_messages()) {
    EXPECT_EQ(encode(client.next()), encode(message));
  }
}

TEST(Control, LargeMessagesPassInBothDirections) {
  Served served;
  ControlClient client(served.options());
  const std::string large(ChannelLimits{}.frame_bytes - 100, 'x');
  client.send(Note{false, large});
  client.send(Note{false, "after"});
  const Connection connection = served.connection();
  ASSERT_TRUE(served.wait_for([&](Served& it) { return it.messages[connection].size() == 2; }));
  EXPECT_EQ(std::get<Note>(served.messages[connection][0]).text, large);
  served.send(connection, Refused{large});
  EXPECT_EQ(std::get<Refused>(client.next()).reason, large);
}

TEST(Control, ABroadcastReachesEachOfMany) {
  constexpr std::size_t kClients = 40;
  Served served({.half_open = 8});  // most of them wait to be heard
  std::deque<ControlClient> clients;
  for (std::size_t i = 0; i < kClients; ++i) clients.emplace_back(served.options());
  ASSERT_TRUE(served.wait_for([](const Served& it) { return it.opened.size() == kClients; }));
  served.on_loop([&](ControlServer& server) { server.broadcast(served.opened, Fence{{1, 0, 7}}); });
  for (ControlClient& client : clients) EXPECT_EQ(client.next(), CoordinatorMessage(Fence{{1, 0, 7}}));
  EXPECT_EQ(served.refused(ChannelEnd::kCrowded), 0u);
}

TEST(Control, AClientWaitsForACoordinatorThatStartsLater) {
  const TestFolder folder;
  const Endpoint later{(folder.path() / "socket").string(), 0};
  std::atomic<bool> tried = false;
  ControlClient client({.endpoints = {later}, .token = kToken, .on_lost = [&] { tried = true; }});
  client.send(Note{false, "early"});
  Served served({}, later);
  const Connection connection = served.connection();
  ASSERT_TRUE(served.wait_for([&](Served& it) { return it.messages[connection].size() == 1; }));
  EXPECT_FALSE(tried);
}

TEST(Control, ACoordinatorThatCannotBeReachedIsAnErrorThatNamesEachAddress) {
  const TestFolder folder;
  std::atomic<int> lost = 0;
  ControlClient client({.endpoints = {{"/nowhere/socket", 0}, {(folder.path() / "no").string(), 0}},
                        .token = kToken,
                        .on_lost = [&] { ++lost; },
                        .connect_deadline = 1ms});
  const std::string why = reason_of_loss(client);
  EXPECT_NE(why.find("cannot be reached within 1 ms: /nowhere/socket: No such file"), std::string::npos) << why;
  EXPECT_NE(why.find("/no: No such file"), std::string::npos) << why;
  EXPECT_EQ(lost, 1);
  EXPECT_THROW(ControlClient({.endpoints = {{"localhost", 80}}, .token = kToken}), UserError);
}

TEST(Control, UrgentMessagesAreToldBeforeTheyAreTaken) {
  Served served;
  std::atomic<int> urgent = 0;
  ControlClientOptions options = served.options();
  options.on_urgent = [&](const CoordinatorMessage&) { ++urgent; };
  ControlClient client(std::move(options));
  const Order train{}, end{.kind = Order::Kind::kEnd};
  const std::vector<std::pair<CoordinatorMessage, int>> cases{
      {Welcome{}, 0},        {Commit{{}, 0, true, 1, train}, 0}, {Fence{}, 1}, {NewView{}, 2}, {Proceed{{}, train}, 2},
      {Proceed{{}, end}, 3}, {Commit{{}, 0, true, 1, end}, 4}};
  const Connection connection = served.connection();
  for (const auto& [message, count] : cases) {
    served.send(connection, message);
    EXPECT_EQ(client.next(), message);
    EXPECT_EQ(urgent, count) << message.index();
  }
}

TEST(Control, ALostConnectionIsToldAndThrown) {
  std::optional<Served> served(std::in_place);
  std::promise<void> lost;
  ControlClientOptions options = served->options();
  options.on_lost = [&] { lost.set_value(); };
  ControlClient client(std::move(options));
  served->send(served->connection(), Welcome{});
  EXPECT_EQ(client.next(), CoordinatorMessage(Welcome{}));
  served.reset();
  EXPECT_EQ(lost.get_future().wait_for(kFailAfter), std::future_status::ready);
  const std::string why = reason_of_loss(client);
  EXPECT_NE(why.find("is lost: closed by the other end"), std::string::npos) << why;
  client.send(Note{});  // dropped
  EXPECT_THROW(client.next(), ControlLost);
}

TEST(Control, ARefusalArrivesBeforeTheConnectionCloses) {
  Served served;
  ControlClient client(served.options());
  const Connection connection = served.connection();
  served.on_loop([&](ControlServer& server) {
    server.send(connection, Refused{"another workload"});
    server.close(connection);
    server.send(connection, Fence{});  // too late
  });
  EXPECT_EQ(client.next(), CoordinatorMessage(Refused{"another workload"}));
  EXPECT_THROW(client.next(), ControlLost);
  ASSERT_TRUE(served.wait_for([&](const Served& it) { return it.closed.contains(connection); }));
  EXPECT_EQ(served.closed[connection], ChannelEnd::kClosedHere);
  std::optional<ControlServer::Time> silent;
  served.on_loop([&](ControlServer& server) { silent = server.silent_since(connection); });
  EXPECT_FALSE(silent.has_value());
}

TEST(Control, WhatIsSentBeforeTheEndArrives) {
  Served served;
  std::atomic<int> lost = 0;
  ControlClientOptions options = served.options();
  options.on_lost = [&] { ++lost; };
  ControlClient client(std::move(options));
  for (int i = 0; i < 1000; ++i) client.send(Note{false, std::string(1000, 'x')});
  client.send(Failed{false, "last"});
  client.finish(kFailAfter);
  const Connection connection = served.connection();
  ASSERT_TRUE(served.wait_for([&](const Served& it) { return it.closed.contains(connection); }));
  EXPECT_EQ(served.messages[connection].size(), 1001u);
  EXPECT_EQ(served.messages[connection].back(), MemberMessage(Failed{false, "last"}));
  EXPECT_EQ(lost, 0);
}

TEST(Control, HeartbeatsComeByThemselvesAndAreAnswered) {
  Served served;
  ControlClientOptions options = served.options();
  options.heartbeat = 1ms;
  std::atomic<int> lost = 0;
  options.on_lost = [&] { ++lost; };
  ControlClient client(std::move(options));
  const Connection connection = served.connection();
  std::optional<ControlServer::Time> before, after;
  served.on_loop([&](ControlServer& server) { before = server.silent_since(connection); });
  ASSERT_TRUE(served.wait_for([&](Served& it) { return it.heartbeats[connection] >= 20; }));
  served.on_loop([&](ControlServer& server) { after = server.silent_since(connection); });
  EXPECT_LT(before.value(), after.value());
  EXPECT_EQ(lost, 0);
}

// It accepts, by the kernel, and says nothing.
TEST(Control, ACoordinatorThatNeverSpeaksIsNotWaitedForForEver) {
  const int listener = listen_on({"127.0.0.1", 0});
  ControlClient client(
      {.endpoints = {endpoint_of(listener)}, .token = kToken, .connect_deadline = 1ms, .attempt_deadline = 10ms});
  const std::string why = reason_of_loss(client);
  EXPECT_NE(why.find("the other end was silent for too long"), std::string::npos) << why;
  ::close(listener);
}

TEST(Control, AnotherRunsTokenIsNotAccepted) {
  Served served;
  ControlClientOptions options = served.options();
  options.token = "another";
  options.connect_deadline = 1ms;
  ControlClient client(std::move(options));
  const std::string why = reason_of_loss(client);
  EXPECT_NE(why.find("does not know this run's token"), std::string::npos) << why;
  EXPECT_EQ(served.refused(ChannelEnd::kToken), 1u);
  EXPECT_TRUE(served.opened.empty());
}

// What is waited for on both sides of a coordinator's death.
struct Rejoining {
  const TestFolder folder;
  const Endpoint endpoint{(folder.path() / "socket").string(), 0};
  std::optional<Served> served{std::in_place, ControlServerOptions{}, endpoint};
  std::atomic<int> lost = 0;
  ControlClient client{{.endpoints = {endpoint}, .token = kToken, .on_lost = [this] { ++lost; }}};

  void start_again() {
    served.reset();
    served.emplace(ControlServerOptions{}, endpoint);
  }
  std::vector<MemberMessage> heard(std::size_t count, std::size_t others = 0) {
    const Connection connection = served->connection(others);
    EXPECT_TRUE(served->wait_for([&](Served& it) { return it.messages[connection].size() >= count; }));
    std::vector<MemberMessage> messages;
    served->on_loop([&](ControlServer&) { messages = served->messages[connection]; });
    return messages;
  }
};

TEST(ControlRejoin, ARankSaysWhoItIsToEachCoordinator) {
  Rejoining it;
  const MemberMessage join = Join{{.rank = 3}}, back = Rejoin{{.rank = 3, .incarnation = 1}, {}, 0, false, {}};
  it.client.introduce(join);
  it.client.send(Note{false, "to the first"});
  EXPECT_EQ(it.heard(2), (std::vector<MemberMessage>{join, Note{false, "to the first"}}));
  it.client.introduce(back);
  it.client.send(Note{false, "to the first too"});
  EXPECT_EQ(it.heard(3).back(), MemberMessage(Note{false, "to the first too"}));
  it.start_again();
  EXPECT_EQ(it.heard(1), std::vector<MemberMessage>{back});
  // A failure is worth nothing to a coordinator that died of it.
  it.client.send(Failed{true, "no such file"});
  EXPECT_EQ(it.heard(2).back(), MemberMessage(Failed{true, "no such file"}));
  it.start_again();
  EXPECT_EQ(it.heard(2), (std::vector<MemberMessage>{back, Failed{true, "no such file"}}));
  EXPECT_EQ(it.lost, 0);
}

TEST(ControlRejoin, ACoordinatorOfAnEarlierTermIsNotObeyed) {
  Rejoining it;
  it.client.introduce(Join{});
  it.served->send(it.served->connection(), Welcome{{2, 0, 0}, 0, 1});
  EXPECT_EQ(it.client.next(), CoordinatorMessage(Welcome{{2, 0, 0}, 0, 1}));
  it.start_again();
  it.served->send(it.served->connection(), Commit{{1, 0, 7}, 5, true, 1, {}});
  // It turns to whoever is there now.
  it.served->send(it.served->connection(1), Welcome{{3, 0, 0}, 0, 1});
  EXPECT_EQ(it.client.next(), CoordinatorMessage(Welcome{{3, 0, 0}, 0, 1}));
}

TEST(ControlRejoin, WhoIsRefusedDoesNotComeBack) {
  Rejoining it;
  it.client.introduce(Join{});
  const Connection connection = it.served->connection();
  it.served->on_loop([&](ControlServer& server) {
    server.send(connection, Refused{"another workload"});
    server.close(connection);
  });
  EXPECT_EQ(it.client.next(), CoordinatorMessage(Refused{"another workload"}));
  EXPECT_THROW(it.client.next(), ControlLost);
  EXPECT_EQ(it.lost, 1);
}

TEST(ControlRejoin, WithoutACoordinatorItEndsAtTheDeadline) {
  const TestFolder folder;
  const Endpoint endpoint{(folder.path() / "socket").string(), 0};
  std::optional<Served> served(std::in_place, ControlServerOptions{}, endpoint);
  ControlClient client({.endpoints = {endpoint}, .token = kToken, .reconnect_deadline = 1ms});
  client.introduce(Join{});
  static_cast<void>(served->connection());
  served.reset();
  const std::string why = reason_of_loss(client);
  EXPECT_NE(why.find("is lost: closed by the other end; the coordinator cannot be reached within 1 ms: /"),
            std::string::npos)
      << why;
}

// A process that was stopped while the run came to its end does not wait for a coordinator that nobody will start.
TEST(ControlRejoin, WhereNobodyListensItEndsSoon) {
  const TestFolder folder;
  const Endpoint endpoint{(folder.path() / "socket").string(), 0};
  std::optional<Served> served(std::in_place, ControlServerOptions{}, endpoint);
  ControlClient client({.endpoints = {endpoint}, .token = kToken, .reconnect_deadline = 1h, .nobody_deadline = 1ms});
  client.introduce(Join{});
  static_cast<void>(served->connection());
  served.reset();
  const std::string why = reason_of_loss(client);
  EXPECT_NE(why.find("the coordinator cannot be reached within 1 ms: /"), std::string::npos) << why;
}

}  // namespace
}  // namespace cadre::runtime
