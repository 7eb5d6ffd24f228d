// Both ends of the ranks' lifelines, over loopback: what they tell each other, what strangers and broken ranks may do
// to the supervisor's, and ranks that vanish.
#include "launch/lifeline.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <future>
#include <thread>

#include "launch/lifeline_server.h"
#include "runtime/json_print.h"
#include "tests/unit/runtime/raw_client.h"

namespace cadre::launch {
namespace {

using namespace std::chrono_literals;
using runtime::kToken;
using runtime::RawClient;

// What the supervisor raises comes to wait_for_signal() and nowhere else.
class LifelineTest : public testing::Test {
 protected:
  LifelineTest() {
    sigemptyset(&raised_);
    sigaddset(&raised_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &raised_, &before_);
  }
  ~LifelineTest() override {
    server_.reset();
    const timespec at_once{0, 0};
    while (sigtimedwait(&raised_, nullptr, &at_once) > 0) continue;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  void supervise(std::uint32_t ranks, LifelineServerOptions options = {}) {
    options.token = kToken;
    options.listeners = listen_towards({""});
    endpoints_ = endpoints_of(options.listeners);
    options.ranks = ranks;
    Pipe text = make_pipe();
    options.text = std::move(text.read);
    text_ = std::move(text.write);
    server_ = std::make_unique<LifelineServer>(std::move(options));
  }
  void hand_out() { server_->hand_out({.run_id = "a run", .token = "a secret"}, "/run/logs"); }
  int wait_for_signal() {
    const timespec limit{20, 0};
    return sigtimedwait(&raised_, nullptr, &limit);
  }
  runtime::Endpoint endpoint() const { return endpoints_.at(0); }
  LifelineOptions rank(std::uint32_t number, int terminal = -1) const {
    return {.endpoints = endpoints_, .token = kToken, .rank = number, .terminal = terminal};
  }

  std::vector<runtime::Endpoint> endpoints_;
  Descriptor text_;
  std::unique_ptr<LifelineServer> server_;
  sigset_t raised_, before_;
};

// A rank that says who it is, and then whatever a test wants.
class BrokenRank : public RawClient {
 public:
  BrokenRank(const runtime::Endpoint& server, std::uint32_t rank) : RawClient(server) {
    authenticate();
    say(frame(runtime::json_line({{"rank", rank}})));
  }
};

TEST_F(LifelineTest, RanksGetTheirBootAndTheirCodeAndOneOfThemShowsWhatIsSaid) {
  supervise(2);
  Pipe terminal = make_pipe();
  const auto live = [&](std::uint32_t number) {
    Lifeline lifeline(rank(number, terminal.write.get()));
    const auto start = lifeline.start();
    return std::pair(start, lifeline.exit_code());
  };
  auto first = std::async(std::launch::async, live, 0), second = std::async(std::launch::async, live, 1);
  ASSERT_EQ(write(text_.get(), "step 1\nstep \xFF", 13), 13);
  hand_out();
  text_.reset();
  server_->finish(75);
  for (auto* one : {&first, &second}) {
    const auto [start, code] = one->get();
    ASSERT_TRUE(start.has_value());
    EXPECT_EQ(start->boot, (Boot{.run_id = "a run", .token = kToken}));
    EXPECT_EQ(start->logs, "/run/logs");
    EXPECT_EQ(code, 75);
  }
  terminal.write.reset();
  const std::string shown = read_to_end(terminal.read.get(), 1 << 20, "the terminal");
  EXPECT_TRUE(shown.starts_with("step 1\nstep ")) << shown;  // by one of them, and made valid
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 2);
}

TEST_F(LifelineTest, ARankIsToldThatThereIsNoSupervisorAnyMore) {
  supervise(1);
  Lifeline lifeline(rank(0));
  hand_out();
  ASSERT_TRUE(lifeline.start().has_value());
  server_.reset();
  EXPECT_EQ(lifeline.exit_code(), std::nullopt);
  EXPECT_NE(lifeline.loss(), "");
}

// Each ends with the supervisor closing the connection.
TEST_F(LifelineTest, StrangersAndBrokenRanksAreClosedWhileAnHonestRankGoesOn) {
  const struct {
    const char* name;
    void (*act)(RawClient& client);
  } attacks[] = {
      {"another protocol",
       [](RawClient& it) { it.say("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" + std::string(64, ' ')); }},
      {"bytes without end", [](RawClient& it) { it.say(std::string(1 << 20, 'x')); }},
      {"another token", [](RawClient& it) { it.authenticate("another"); }},
      {"a frame of 4 GiB",
       [](RawClient& it) {
         it.authenticate();
         it.say(std::string(20, '\xFF'));
       }},
      {"no JSON",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame("rank 1"));
       }},
      {"no object",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame("[1]"));
       }},
      {"brackets without end",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame(std::string(1 << 20, '[')));
       }},
      {"a signal before its rank",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame(R"({"signal": 15})"));
       }},
      {"a rank that is none",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame(R"({"rank": 2})"));
       }},
      {"a negative rank",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame(R"({"rank": -1})"));
       }},
      {"a rank that is there",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame(R"({"rank": 0})"));
       }},
      {"a rank twice",
       [](RawClient& it) {
         it.authenticate();
         it.say(it.frame(R"({"rank": 1})") + it.frame(R"({"rank": 1})"));
       }},
  };
  supervise(2);
  Lifeline honest(rank(0));
  hand_out();
  ASSERT_TRUE(honest.start().has_value());
  for (const auto& attack : attacks) {
    SCOPED_TRACE(attack.name);
    RawClient client(endpoint());
    attack.act(client);
    EXPECT_TRUE(client.hear_end());
  }
  text_.reset();
  auto code = std::async(std::launch::async, [&] { return honest.exit_code(); });
  server_.reset();
  EXPECT_EQ(code.get(), std::nullopt);
}

TEST_F(LifelineTest, WhoeverDoesNotSayWhichRankItIsIsClosedAtTheLimit) {
  supervise(1, {.handshake_limit = 10ms});
  RawClient silent(endpoint()), known(endpoint());
  known.say(known.hello_);
  EXPECT_TRUE(silent.hear_end());
  EXPECT_TRUE(known.hear_end());
  BrokenRank rank(endpoint(), 0);  // has said it, and says no more
  hand_out();
  EXPECT_EQ(rank.hear(20).size(), 20U);
}

// With all places taken by silent strangers whose deadline is far away.
TEST_F(LifelineTest, SilentStrangersDoNotLockOutAnHonestRank) {
  supervise(1, {.handshake_limit = 1h, .handshake_grace = 20ms});
  std::deque<RawClient> silent;
  for (int i = 0; i < 80; ++i) silent.emplace_back(endpoint());
  Lifeline honest(rank(0));
  hand_out();
  EXPECT_TRUE(honest.start().has_value());
}

TEST_F(LifelineTest, ASignalOfARankIsRaisedHereAndNoOtherNumber) {
  supervise(1);
  BrokenRank rank(endpoint(), 0);
  rank.say(rank.frame(R"({"signal": 9})"));  // which would end this process
  rank.say(rank.frame(R"({"signal": 15})"));
  EXPECT_EQ(wait_for_signal(), SIGTERM);
}

TEST_F(LifelineTest, WithoutAnyRankTheRunIsStopped) {
  supervise(2, {.lonely_limit = 50ms});
  {
    BrokenRank first(endpoint(), 0);
    hand_out();
    EXPECT_EQ(first.hear(20).size(), 20U);  // it is known
  }
  EXPECT_EQ(wait_for_signal(), SIGTERM);
}

TEST_F(LifelineTest, WhereNoRankComesTheRunIsStopped) {
  supervise(2, {.first_limit = 50ms});
  EXPECT_EQ(wait_for_signal(), SIGTERM);
}

TEST_F(LifelineTest, WhenTheOneThatShowsWhatIsSaidVanishesTheNextDoes) {
  supervise(2);
  Pipe terminal = make_pipe();
  std::optional<BrokenRank> first(std::in_place, endpoint(), 0);
  hand_out();
  EXPECT_EQ(first->hear(20).size(), 20U);
  first.reset();
  auto second = std::async(std::launch::async, [&] {
    Lifeline lifeline(rank(1, terminal.write.get()));
    return lifeline.exit_code();
  });
  ASSERT_EQ(write(text_.get(), "step 2\n", 7), 7);
  text_.reset();
  server_->finish(0);
  EXPECT_EQ(second.get(), 0);
  terminal.write.reset();
  EXPECT_EQ(read_to_end(terminal.read.get(), 1 << 20, "the terminal"), "step 2\n");
}

}  // namespace
}  // namespace cadre::launch
