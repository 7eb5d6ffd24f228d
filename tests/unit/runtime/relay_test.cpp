// A relay between clients and a server: what each says arrives as if it were said directly.
#include "runtime/relay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <thread>

#include "tests/unit/runtime/served.h"

namespace cadre::runtime {
namespace {

using std::chrono::milliseconds;

// A relay on a thread of its own, at a name of this test's.
class Relayed {
 public:
  explicit Relayed(Served& served, const std::string& token = kToken) {
    const int listener = listen_on({.address = "@cadre-relay-test-" + std::to_string(::getpid()), .port = 0});
    at_ = endpoint_of(listener);
    relay_.emplace(RelayOptions{.coordinator = {served.endpoint()},
                                .token = token,
                                .listener = listener,
                                .connect_deadline = milliseconds(500),
                                .gathering = milliseconds(20)});
    over_ = std::async(std::launch::async, [this] { relay_->run(); });
  }

  ControlClientOptions options(const Served& served) const {
    ControlClientOptions options = served.options();
    options.relay = at_;
    options.heartbeat = milliseconds(50);
    return options;
  }
  bool is_over() { return over_.wait_for(kFailAfter) == std::future_status::ready; }

 private:
  Endpoint at_;
  std::optional<Relay> relay_;
  std::future<void> over_;
};

MemberMessage note(const std::string& text) {
  return Note{false, text};
}

TEST(Relay, CarriesWhatRanksAndCoordinatorSayInOrder) {
  Served served;
  Relayed relayed(served);
  std::vector<std::unique_ptr<ControlClient>> clients;
  for (int rank = 0; rank < 3; ++rank) {
    clients.push_back(std::make_unique<ControlClient>(relayed.options(served)));
    clients.back()->introduce(note("rank " + std::to_string(rank)));
    for (int i = 0; i < 50; ++i) clients.back()->send(note(std::string(static_cast<std::size_t>(i) * 1000, 'x')));
    ASSERT_TRUE(served.wait_for([&](const Served& it) {
      return it.opened.size() == clients.size() && it.messages.contains(it.opened.back()) &&
             it.messages.at(it.opened.back()).size() == 51;
    }));
  }
  std::vector<Connection> all;
  served.on_loop([&](ControlServer& server) {
    all = served.opened;
    server.broadcast(all, Refused{"to all"});
  });
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const std::vector<MemberMessage>& said = served.messages[all[rank]];
    EXPECT_EQ(said.front(), note("rank " + std::to_string(rank)));
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(said[i + 1], note(std::string(i * 1000, 'x')));
    served.send(all[rank], Refused{std::to_string(rank)});
    EXPECT_EQ(clients[rank]->next(), CoordinatorMessage(Refused{"to all"}));
    EXPECT_EQ(clients[rank]->next(), CoordinatorMessage(Refused{std::to_string(rank)}));
  }
  // One connection for all of them, and each is heard.
  ASSERT_TRUE(served.wait_for([&](const Served& it) {
    return std::ranges::all_of(all, [&](Connection connection) {
      return it.heartbeats.contains(connection) && it.heartbeats.at(connection) > 2;
    });
  }));
  // A rank that goes is told at once; the others stay.
  clients[1].reset();
  ASSERT_TRUE(served.wait_for([&](const Served& it) { return it.closed.contains(all[1]); }));
  EXPECT_EQ(served.closed.size(), 1u);
  // One that the coordinator closes hears what was said before.
  served.on_loop([&](ControlServer& server) {
    server.send(all[0], Refused{"last"});
    server.close(all[0]);
  });
  EXPECT_EQ(clients[0]->next(), CoordinatorMessage(Refused{"last"}));
  EXPECT_THROW(clients[0]->next(), ControlLost);
  clients[2].reset();
  EXPECT_TRUE(relayed.is_over());  // with the last of its ranks
  EXPECT_TRUE(served.detached.empty());
}

TEST(Relay, WithoutOneTheCoordinatorIsAskedItself) {
  Served served;
  ControlClientOptions options = served.options();
  options.relay = {.address = "@cadre-relay-that-is-not-there", .port = 0};
  options.relay_patience = milliseconds(30);
  ControlClient client(options);
  client.introduce(note("here"));
  const Connection connection = served.connection();
  EXPECT_TRUE(served.wait_for([&](Served& it) { return it.messages[connection].size() == 1; }));
}

TEST(Relay, OneWithAnotherTokenComesToNothing) {
  Served served;
  Relayed relayed(served, "another token");
  EXPECT_TRUE(relayed.is_over());
  EXPECT_GT(served.refused(ChannelEnd::kToken), 0u);
}

// Its ranks do not stay behind a relay that leads nowhere.
TEST(Relay, EndsWithTheCoordinator) {
  auto served = std::make_unique<Served>();
  Relayed relayed(*served);
  std::promise<void> lost;
  ControlClientOptions options = relayed.options(*served);
  options.on_lost = [&] { lost.set_value(); };
  options.reconnect_deadline = milliseconds(1);
  ControlClient client(options);
  client.introduce(note("here"));
  served->connection();
  served.reset();
  EXPECT_TRUE(relayed.is_over());
  EXPECT_EQ(lost.get_future().wait_for(kFailAfter), std::future_status::ready);
}

}  // namespace
}  // namespace cadre::runtime
