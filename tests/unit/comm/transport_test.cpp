// What every transport must do, at 1, 2, 3, 4 and 7 members. Threads meet in transfers and never sleep.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <optional>
#include <ostream>
#include <thread>

#include "tests/unit/comm/asleep.h"
#include "tests/unit/comm/transport_world.h"

namespace cadre::comm {
namespace {

using Bytes = std::vector<std::byte>;

// Different for each pair, message and position.
Bytes pattern(std::size_t size, int from, int to, int message) {
  Bytes bytes(size);
  std::uint64_t state = 0x9E3779B97F4A7C15u * static_cast<std::uint64_t>(1 + from * 10007 + to * 101 + message);
  for (std::size_t at = 0; at < size; at += sizeof state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(bytes.data() + at, &state, std::min(sizeof state, size - at));
  }
  return bytes;
}

void send(Communicator& communicator, int to, const Bytes& bytes) {
  communicator.wait(communicator.start({.sends = {{.to = to, .bytes = bytes}}}));
}
Bytes receive(Communicator& communicator, int from, std::size_t size) {
  Bytes bytes(size);
  communicator.wait(communicator.start({.receives = {{.from = from, .bytes = bytes}}}));
  return bytes;
}

// The error's message, or nothing if `action` succeeds; `peer` as it names it.
template <typename Error>
std::optional<std::string> error_of(const std::function<void()>& action, int* peer = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (peer != nullptr) *peer = error.peer();
    return error.what();
  }
  return std::nullopt;
}

void all_to_all(Communicator& communicator, std::size_t size, int message = 0) {
  const int self = communicator.rank();
  std::vector<Bytes> out, in;
  Group group;
  for (int peer = 0; peer < communicator.size(); ++peer) {
    out.push_back(pattern(peer == self ? 0 : size, self, peer, message));
    in.emplace_back(peer == self ? 0 : size);
  }
  for (int peer = 0; peer < communicator.size(); ++peer) {
    if (peer == self) continue;
    group.sends.push_back({.to = peer, .bytes = out[static_cast<std::size_t>(peer)]});
    group.receives.push_back({.from = peer, .bytes = in[static_cast<std::size_t>(peer)]});
  }
  communicator.wait(communicator.start(group));
  for (int peer = 0; peer < communicator.size(); ++peer) {
    if (peer != self) {
      EXPECT_TRUE(in[static_cast<std::size_t>(peer)] == pattern(size, peer, self, message));
    }
  }
}

// Everybody's bytes wander `hops` members on.
void pass_on(Communicator& communicator, std::size_t bytes, int hops) {
  const int size = communicator.size(), self = communicator.rank();
  const int next = (self + 1) % size, before = (self + size - 1) % size;
  Bytes out = pattern(bytes, self, 0, 0), in(bytes);
  for (int hop = 0; hop < hops; ++hop) {
    communicator.wait(
        communicator.start({.sends = {{.to = next, .bytes = out}}, .receives = {{.from = before, .bytes = in}}}));
    std::swap(out, in);
  }
  EXPECT_TRUE(out == pattern(bytes, (self + size - hops % size) % size, 0, 0));
}

struct Case {
  WorldFactory factory;
  int size;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.factory.name << " with " << one.size;
}

class TransportTest : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<World> world() const { return GetParam().factory.make(GetParam().size); }
  bool alone() const { return GetParam().size == 1; }
};

TEST_P(TransportTest, KnowsRankAndSize) {
  const auto world = this->world();
  const Communicators view = world->next_view();
  for (int rank = 0; rank < world->size(); ++rank) {
    EXPECT_EQ(view[static_cast<std::size_t>(rank)]->rank(), rank);
    EXPECT_EQ(view[static_cast<std::size_t>(rank)]->size(), world->size());
  }
}

TEST_P(TransportTest, AnEmptyGroupIsDone) {
  const auto world = this->world();
  together(world->next_view(), [](Communicator& communicator) { communicator.wait(communicator.start({})); });
}

TEST_P(TransportTest, ATransferWithOneselfIsAFailedCheck) {
  const auto world = this->world();
  const Communicators view = world->next_view();
  EXPECT_THROW(view[0]->start({.sends = {{.to = 0}}}), std::logic_error);
  EXPECT_THROW(view[0]->start({.receives = {{.from = world->size()}}}), std::logic_error);
}

TEST_P(TransportTest, AllToAllOfEverySize) {
  const auto world = this->world();
  const Communicators view = world->next_view();
  std::vector<std::size_t> sizes = {0, 1, 777, 65536, 65537, 1 << 20, (1 << 20) + 13};
  if (world->size() <= 2) sizes.push_back(64 << 20);
  together(view, [&](Communicator& communicator) {
    for (const std::size_t size : sizes) all_to_all(communicator, size);
    if (communicator.size() > 2) pass_on(communicator, 64 << 20, 1);
  });
}

TEST_P(TransportTest, OrderHoldsForEachPairWithManyGroupsInFlight) {
  const auto world = this->world();
  const Communicators view = world->next_view();
  constexpr int kMessages = 200;
  // Sizes differ from message to message, so that a swap is seen; some are empty, some take several frames.
  const auto size_of = [](int message) {
    return message % 50 == 49 ? 700'001u : static_cast<unsigned>(message % 7) * 31;
  };
  together(view, [&](Communicator& communicator) {
    const int self = communicator.rank();
    std::vector<Bytes> out, in;
    std::vector<Communicator::Ticket> tickets;
    for (int message = 0; message < kMessages; ++message) {
      for (int peer = 0; peer < communicator.size(); ++peer) {
        out.push_back(pattern(size_of(message), self, peer, message));
        in.emplace_back(size_of(message));
      }
    }
    std::size_t at = 0;
    for (int message = 0; message < kMessages; ++message) {
      for (int peer = 0; peer < communicator.size(); ++peer, ++at) {
        if (peer == self) continue;
        // Sends and receives in groups of their own: none may hold up one of another pair or direction.
        tickets.push_back(communicator.start({.sends = {{.to = peer, .bytes = out[at]}}}));
        tickets.push_back(communicator.start({.receives = {{.from = peer, .bytes = in[at]}}}));
      }
    }
    std::reverse(tickets.begin(), tickets.end());
    for (const auto ticket : tickets) communicator.wait(ticket);
    at = 0;
    for (int message = 0; message < kMessages; ++message) {
      for (int peer = 0; peer < communicator.size(); ++peer, ++at) {
        if (peer != self) {
          EXPECT_TRUE(in[at] == pattern(size_of(message), peer, self, message)) << message;
        }
      }
    }
  });
}

TEST_P(TransportTest, ARingPassesBytesOn) {
  const auto world = this->world();
  if (alone()) return;
  together(world->next_view(), [](Communicator& communicator) { pass_on(communicator, 100'003, communicator.size()); });
}

// A receiver that is busy holds its senders up, and loses nothing.
TEST_P(TransportTest, ASenderWaitsForAReceiverThatIsNotReady) {
  const auto world = this->world();
  if (alone()) return;
  constexpr std::size_t kBytes = 32 << 20;
  const Communicators view = world->next_view();
  const Bytes large = pattern(kBytes, 0, 1, 0), small = pattern(9, 0, 1, 1);
  const auto ticket = view[0]->start({.sends = {{.to = 1, .bytes = large}, {.to = 1, .bytes = small}}});
  Asleep sends([&] { view[0]->wait(ticket); });
  sends.until_asleep();
  EXPECT_FALSE(sends.is_over());
  EXPECT_TRUE(receive(*view[1], 0, kBytes) == large);
  EXPECT_TRUE(receive(*view[1], 0, 9) == small);
}

TEST_P(TransportTest, WhatIsDoneIsKnownWithoutWaiting) {
  const auto world = this->world();
  if (alone()) return;
  const Communicators view = world->next_view();
  const Bytes bytes = pattern(70'000, 0, 1, 0);
  Bytes in(bytes.size());
  const auto received = view[1]->start({.receives = {{.from = 0, .bytes = in}}});
  EXPECT_FALSE(view[1]->is_done(received));
  const auto sent = view[0]->start({.sends = {{.to = 1, .bytes = bytes}}});
  while (!view[0]->is_done(sent) || !view[1]->is_done(received)) std::this_thread::yield();
  EXPECT_TRUE(in == bytes);
  view[0]->wait(sent);
  view[1]->wait(received);
  EXPECT_TRUE(view[0]->is_done(view[0]->start({})));
}

TEST_P(TransportTest, AbortEndsEveryKindOfWait) {
  const auto world = this->world();
  if (alone()) return;
  // More than any socket buffer holds: a send of it blocks.
  const Bytes large(64 << 20);
  const int last = world->size() - 1;
  const std::function<Group(Bytes&)> kinds[] = {
      [&](Bytes&) { return Group{.sends = {{.to = last, .bytes = large}}}; },
      [&](Bytes& in) { return Group{.receives = {{.from = last, .bytes = in}}}; },
      [&](Bytes& in) {
        return Group{.sends = {{.to = last, .bytes = large}}, .receives = {{.from = last, .bytes = in}}};
      }};
  for (const auto& kind : kinds) {
    for (const bool has_begun : {false, true}) {  // or the abort comes while they do not even have a connection
      const Communicators view = world->next_view();
      if (has_begun) together(view, [](Communicator& communicator) { all_to_all(communicator, 10); });
      Bytes in(1000);
      const auto ticket = view[0]->start(kind(in));
      {
        Asleep waits([&] { EXPECT_EQ(error_of<Aborted>([&] { view[0]->wait(ticket); }), "a test's reason"); });
        if (has_begun) {
          waits.until_asleep();
          EXPECT_FALSE(waits.is_over());
        }
        view[0]->abort("a test's reason");
      }
      // And what comes later; the first reason stays.
      view[0]->abort("another");
      EXPECT_EQ(error_of<Aborted>([&] { view[0]->wait(view[0]->start({})); }), "a test's reason");
    }
  }
}

// Buffers belong to the caller again when a wait has thrown, whatever was under way; and connections live on.
TEST_P(TransportTest, AfterAnAbortInTheMiddleOfAMessageTheNextViewWorksOnTheSameConnections) {
  const auto world = this->world();
  {
    const Communicators view = world->next_view();
    together(view, [](Communicator& communicator) { all_to_all(communicator, 10); });
  }
  const std::uint64_t established = world->established();
  for (int round = 0; round < 5; ++round) {
    const Communicators view = world->next_view();
    together(view, [&](Communicator& communicator) {
      // Every member sends to all; odd ones receive from one peer only. Nobody can finish: each also waits for a
      // message that is not sent. Some time in between member 0 gives up.
      const std::size_t size = 2 << 20;
      const int self = communicator.rank(), next = (self + 1) % communicator.size();
      std::vector<Bytes> buffers;
      Group group;
      const auto expect = [&](int peer) {
        buffers.emplace_back(size);
        group.receives.push_back({.from = peer, .bytes = buffers.back()});
      };
      for (int peer = 0; peer < communicator.size(); ++peer) {
        if (peer == self) continue;
        buffers.push_back(pattern(size, self, peer, round));
        group.sends.push_back({.to = peer, .bytes = buffers.back()});
        if (self % 2 == 0 || peer == next) expect(peer);
      }
      if (next != self) expect(next);
      const auto ticket = communicator.start(group);
      if (communicator.rank() == 0) {
        for (const auto& other : view) other->abort("given up");
      }
      if (communicator.size() > 1) {
        EXPECT_THROW(communicator.wait(ticket), Aborted);
      }
      for (Bytes& buffer : buffers) std::memset(buffer.data(), 0xEE, buffer.size());
    });
    const Communicators next = world->next_view();
    together(next, [&](Communicator& communicator) { all_to_all(communicator, 300'000, round); });
  }
  EXPECT_EQ(world->established(), established);
}

TEST_P(TransportTest, APeerThatVanishesIsNamedAtOnce) {
  // All others wait for it, or for it to take what they send; the transport goes while they do.
  for (const bool they_send : {false, true}) {
    const auto world = this->world();
    if (alone()) return;
    const Communicators view = world->next_view();
    together(view, [](Communicator& communicator) { all_to_all(communicator, 1000); });
    const int gone = world->size() - 1;
    const Bytes large(32 << 20);
    {
      std::vector<std::unique_ptr<Asleep>> waits;
      for (int rank = 0; rank < gone; ++rank) {
        waits.push_back(std::make_unique<Asleep>([&, rank] {
          Communicator& own = *view[static_cast<std::size_t>(rank)];
          int peer = -2;
          const auto why =
              error_of<CommError>([&] { they_send ? send(own, gone, large) : (void)receive(own, gone, 7); }, &peer);
          EXPECT_TRUE(why.has_value());
          EXPECT_EQ(peer, gone) << why.value_or("");
        }));
      }
      for (const auto& wait : waits) wait->until_asleep();
      world->kill(gone);
    }
    // The survivors go on.
    std::vector<int> survivors;
    for (int member = 0; member < gone; ++member) survivors.push_back(member);
    together(world->next_view(survivors), [](Communicator& communicator) { all_to_all(communicator, 1000); });
  }
}

TEST_P(TransportTest, APeerThatWasNeverThereIsNamed) {
  const auto world = this->world();
  if (alone()) return;
  const Communicators view = world->next_view();
  const int gone = world->size() - 1;
  world->kill(gone);
  int peer = -2;
  EXPECT_TRUE(error_of<CommError>([&] { receive(*view[0], gone, 7); }, &peer).has_value());
  EXPECT_EQ(peer, gone);
}

TEST_P(TransportTest, AMessageOfAnOlderViewIsDroppedAndOneOfANewerViewIsKept) {
  const auto world = this->world();
  if (alone()) return;
  const runtime::View old_view = world->plan_view(), new_view = world->plan_view();
  const auto old0 = world->enter(old_view, 0), old1 = world->enter(old_view, 1);
  // Dropped: sent in the old view, and never received there.
  auto opened = std::async(std::launch::async, [&] { EXPECT_TRUE(receive(*old1, 0, 3) == pattern(3, 0, 1, 0)); });
  send(*old0, 1, pattern(3, 0, 1, 0));
  opened.get();
  send(*old0, 1, pattern(300, 0, 1, 1));
  // Kept: sent in the new view while the receiver is still in the old one.
  const auto new0 = world->enter(new_view, 0);
  send(*new0, 1, pattern(20, 0, 1, 2));
  old1->abort("a newer view");
  const auto new1 = world->enter(new_view, 1);
  EXPECT_TRUE(receive(*new1, 0, 20) == pattern(20, 0, 1, 2));
  EXPECT_EQ(world->dropped_frames(), 1u);
}

TEST_P(TransportTest, AWrongSizeIsTheSendersError) {
  const auto world = this->world();
  if (alone()) return;
  for (const std::size_t wanted : {std::size_t{0}, std::size_t{99}, std::size_t{101}}) {
    const Communicators view = world->next_view();
    const Bytes bytes(100);
    const auto sent = view[0]->start({.sends = {{.to = 1, .bytes = bytes}}});
    int peer = -2;
    EXPECT_TRUE(error_of<CommError>([&] { receive(*view[1], 0, wanted); }, &peer).has_value()) << wanted;
    EXPECT_EQ(peer, 0);
    view[0]->wait(sent);
  }
  together(world->next_view(), [](Communicator& communicator) { all_to_all(communicator, 100); });
}

TEST_P(TransportTest, ConnectionsAreOnePairEachHoweverTheyCross) {
  for (int round = 0; round < 5; ++round) {
    const auto world = this->world();
    for (int views = 0; views < 3; ++views) {
      const Communicators view = world->next_view();
      together(view, [](Communicator& communicator) { all_to_all(communicator, 1); });
    }
    EXPECT_EQ(world->established(), static_cast<std::uint64_t>(world->size() * (world->size() - 1)));
  }
}

TEST_P(TransportTest, DestructorsEndWhatIsUnderWay) {
  const auto world = this->world();
  Bytes in(10);
  for (int round = 0; round < 3; ++round) {
    Communicators view = world->next_view();
    if (!alone()) view[0]->start({.receives = {{.from = 1, .bytes = in}}});
  }
  Communicators view = world->next_view();
  world->kill(0);  // the transport before its communicator
  if (!alone()) {
    EXPECT_THROW(receive(*view[0], 1, 1), CommError);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const WorldFactory& factory : world_factories()) {
    for (const int size : {1, 2, 3, 4, 7}) all.push_back({.factory = factory, .size = size});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Transports, TransportTest, testing::ValuesIn(cases()), [](const auto& info) {
  return info.param.factory.name + "With" + std::to_string(info.param.size);
});

}  // namespace
}  // namespace cadre::comm
