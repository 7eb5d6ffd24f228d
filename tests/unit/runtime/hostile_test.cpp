// What strangers and broken ranks may do to the control server, by raw sockets, while an honest rank goes on.
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "runtime/bundle.h"
#include "runtime/codec.h"
#include "tests/unit/runtime/raw_client.h"

namespace cadre::runtime {
namespace {

using namespace std::chrono_literals;

const std::string kNote = encode(MemberMessage(Note{false, "hello"}));

// Each ends with the server closing the connection for the reason that is named.
struct Attack {
  const char* name;
  ChannelEnd expected;
  void (*act)(RawClient& client);
};
const Attack kAttacks[] = {
    {"another protocol", ChannelEnd::kGarbage,
     [](RawClient& it) { it.say("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" + std::string(64, ' ')); }},
    {"zeros without end", ChannelEnd::kGarbage, [](RawClient& it) { it.say(std::string(1 << 20, '\0')); }},
    {"another version", ChannelEnd::kVersion,
     [](RawClient& it) {
       it.hello_[6] = kProtocolVersion + 1;
       it.say(it.hello_);
       EXPECT_EQ(it.hear(9), std::string("CADRE\n") + char{kProtocolVersion} + std::string("\x00\x00", 2));
     }},
    {"a client that says it is the server", ChannelEnd::kGarbage,
     [](RawClient& it) {
       it.hello_[8] = 0;
       it.say(it.hello_);
     }},
    {"an unknown role", ChannelEnd::kGarbage,
     [](RawClient& it) {
       it.hello_[8] = 3;
       it.say(it.hello_);
     }},
    {"another token", ChannelEnd::kToken, [](RawClient& it) { it.authenticate("another"); }},
    {"no token", ChannelEnd::kToken, [](RawClient& it) { it.authenticate(""); }},
    {"its own hello and proof sent back", ChannelEnd::kToken,
     [](RawClient& it) {
       it.say(it.hello_);
       it.say(it.hear(it.hello_.size()).substr(0, 32));
     }},
    {"a frame before the proof", ChannelEnd::kToken, [](RawClient& it) { it.say(it.hello_ + std::string(300, 'x')); }},
    {"a frame of 16 MiB and a byte", ChannelEnd::kTooLong,
     [](RawClient& it) {
       it.authenticate();
       it.say(std::string("\x01\x00\x00\x01", 4) + std::string(16, 't'));
     }},
    {"a frame of 4 GiB", ChannelEnd::kTooLong,
     [](RawClient& it) {
       it.authenticate();
       it.say(std::string(20, '\xFF'));
     }},
    {"a forged tag", ChannelEnd::kForged,
     [](RawClient& it) {
       it.authenticate();
       std::string frame = it.frame(kNote);
       frame[4] ^= 1;
       it.say(frame);
     }},
    {"a payload changed on the way", ChannelEnd::kForged,
     [](RawClient& it) {
       it.authenticate();
       std::string frame = it.frame(kNote);
       frame.back() ^= 1;
       it.say(frame);
     }},
    {"a frame repeated", ChannelEnd::kForged,
     [](RawClient& it) {
       it.authenticate();
       const std::string frame = it.frame(kNote);
       it.say(frame + frame);
     }},
    {"two frames in the wrong order", ChannelEnd::kForged,
     [](RawClient& it) {
       it.authenticate();
       const std::string first = it.frame(kNote), second = it.frame(kNote);
       it.say(second + first);
     }},
    {"a frame left out", ChannelEnd::kForged,
     [](RawClient& it) {
       it.authenticate();
       static_cast<void>(it.frame(kNote));
       it.say(it.frame(kNote));
     }},
    {"no message", ChannelEnd::kMalformed,
     [](RawClient& it) {
       it.authenticate();
       it.say(it.frame("\xFF no message"));
     }},
    {"an empty frame", ChannelEnd::kMalformed,
     [](RawClient& it) {
       it.authenticate();
       it.say(it.frame(""));
     }},
    {"a message of the other direction", ChannelEnd::kMalformed,
     [](RawClient& it) {
       it.authenticate();
       it.say(it.frame(encode(CoordinatorMessage(Fence{}))));
     }},
};

TEST(Hostile, EachIsRefusedForItsReasonWhileAnHonestRankGoesOn) {
  Served served;
  ControlClient honest(served.options());
  const Connection connection = served.connection();
  std::uint64_t view = 0;
  for (const Attack& attack : kAttacks) {
    SCOPED_TRACE(attack.name);
    const std::uint64_t before = served.refused(attack.expected);
    RawClient client(served.endpoint());
    attack.act(client);
    ASSERT_TRUE(client.hear_end());
    EXPECT_EQ(served.refused(attack.expected), before + 1);
    served.send(connection, Fence{{1, 0, ++view}});
    EXPECT_EQ(honest.next(), CoordinatorMessage(Fence{{1, 0, view}}));
  }
  EXPECT_FALSE(served.closed.contains(connection));
}

TEST(Hostile, ARecordedConnectionCannotBePlayedAgain) {
  Served served;
  RawClient honest(served.endpoint());
  honest.authenticate();
  const std::string recorded = honest.frame(kNote);
  honest.say(recorded);
  const Connection connection = served.connection();
  ASSERT_TRUE(served.wait_for([&](Served& it) { return it.messages[connection].size() == 1; }));
  RawClient player(served.endpoint());
  player.say(honest.hello_ + honest.proof_ + recorded);
  EXPECT_TRUE(player.hear_end());
  EXPECT_EQ(served.refused(ChannelEnd::kToken), 1u);
}

TEST(Hostile, WhoeverSaysNothingIsClosedAtTheDeadline) {
  Served served({.handshake_deadline = 10ms});
  RawClient silent(served.endpoint()), half(served.endpoint());
  half.say(half.hello_.substr(0, 20));
  EXPECT_TRUE(silent.hear_end());
  EXPECT_TRUE(half.hear_end());
  // The socket is closed first and counted a moment later.
  for (int i = 0; i < 100'000 && served.refused(ChannelEnd::kSilent) < 2; ++i) std::this_thread::yield();
  EXPECT_EQ(served.refused(ChannelEnd::kSilent), 2u);
}

// With all places taken by silent strangers whose deadline is far away.
TEST(Hostile, SilentStrangersDoNotLockOutAnHonestRank) {
  Served served({.handshake_deadline = 1h, .half_open = 4, .handshake_grace = 20ms});
  std::deque<RawClient> silent;
  for (int i = 0; i < 12; ++i) silent.emplace_back(served.endpoint());
  ControlClient honest(served.options());
  served.send(served.connection(), Welcome{});
  EXPECT_EQ(honest.next(), CoordinatorMessage(Welcome{}));
  EXPECT_GE(served.refused(ChannelEnd::kCrowded), 8u);
}

TEST(Hostile, APeerThatDoesNotReadIsClosedAndTheOthersAreServed) {
  Served served({.limits = {.queue_bytes = std::size_t{1} << 20}});
  RawClient slow(served.endpoint());
  slow.authenticate();
  const Connection lost = served.connection(0);
  ControlClient honest(served.options());
  const Connection kept = served.connection(1);
  const std::vector<Connection> both{lost, kept};
  const CoordinatorMessage large = Refused{std::string(1 << 16, 'x')};
  // As fast as the honest one takes them; the kernel holds some megabytes for the slow one.
  bool closed = false;
  for (int i = 0; i < 2000 && !closed; ++i) {
    served.on_loop([&](ControlServer& server) {
      server.broadcast(both, large);
      closed = !server.silent_since(lost).has_value();
    });
    ASSERT_EQ(honest.next(), large);
  }
  ASSERT_TRUE(served.wait_for([&](const Served& it) { return it.closed.contains(lost); }));
  EXPECT_EQ(served.closed[lost], ChannelEnd::kNotReading);
  EXPECT_FALSE(served.closed.contains(kept));
}

// A relay's bundles are looked at as closely as a rank's frames.
TEST(Hostile, ARelayThatBreaksTheRulesIsClosedWithAllThatItCarries) {
  using Event = BundleItem::Event;
  const std::string note = kNote;
  const Bundle opens{{{Event::kOpen, {0}, "first"}, {Event::kFrame, {0}, note}}};
  const std::vector<std::pair<const char*, std::string>> cases{
      {"no bundle", "\x01"},
      {"a number twice", encode(Bundle{{{Event::kOpen, {0}, "again"}}})},
      {"no message", encode(Bundle{{{Event::kFrame, {0}, "\xFF"}}})},
  };
  Served served;
  std::size_t others = 0;
  for (const auto& [name, payload] : cases) {
    SCOPED_TRACE(name);
    RawClient relay(served.endpoint());
    relay.hello_[8] = 2;
    relay.authenticate();
    relay.say(relay.frame(encode(opens)));
    const Connection connection = served.connection(others++);
    ASSERT_TRUE(served.wait_for([&](Served& it) { return it.messages[connection].size() == 1; }));
    relay.say(relay.frame(payload));
    EXPECT_TRUE(relay.hear_end());
    ASSERT_TRUE(served.wait_for([&](const Served& it) { return it.detached.contains(connection); }));
    EXPECT_EQ(served.detached[connection], ChannelEnd::kMalformed);
    EXPECT_TRUE(served.closed.empty());
  }
}

}  // namespace
}  // namespace cadre::runtime
