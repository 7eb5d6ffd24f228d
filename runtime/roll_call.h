// Who is connected, under which number, and when each was last heard. Numbers and incarnations are given here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/effects.h"

namespace cadre::runtime {

struct Peer {
  enum class Is { kConnected, kJoined, kReady, kMember } is = Is::kConnected;
  Member member = {};
  std::uint32_t index = 0;      // in the view, of a member
  TimePoint heard = {};         // the last message
  TimePoint progressed = {};    // the last that was work, of a member
  bool has_reported = false;    // since the fence
  bool is_detached = false;     // its relay is gone, and it has not connected anew
  bool has_gap = false;         // it has, and what it says of its work may lack what was lost: until the next view
  Stamp in = {};                // the view that it is in, as it has said or is told; 0: none yet
  std::uint64_t committed = 0;  // updates that it had when it rejoined
};

class RollCall {
 public:
  // `incarnations`: the last ones that were given before.
  explicit RollCall(std::size_t expected, std::map<Rank, std::uint32_t> incarnations = {});

  // From now on there are this many numbers, if there were fewer. Those beyond the expected ones may join.
  void widen(std::size_t numbers);
  std::size_t numbers() const { return by_rank_.size(); }

  Peer& peer(Connection connection, TimePoint now);
  Peer* find(Connection connection);

  // Gives the number that the member asks for, or the lowest free one. Empty: done; else why not.
  std::string join(Connection connection, const Member& self);
  // Gives a process that was here before its number back; with a new incarnation where `anew`. Empty: done; else why
  // not.
  std::string rejoin(Connection connection, const Member& self, bool anew);
  // The connection under which this process is known; nothing: it is not.
  std::optional<Connection> connection_of(const Member& self) const;
  // Who has this number now.
  std::optional<Connection> taken_by(Rank rank) const {
    return rank < by_rank_.size() ? by_rank_[rank].taken_by : std::nullopt;
  }
  bool is_ready(Rank rank) const;
  // Ready, with this work. What the first ready one has is what all must have.
  void ready(Connection connection, const Ready& ready);
  // A member's new connection takes the place of the one that went with its relay.
  Peer& attach(Connection from, Connection before);
  // One that had asked for this number and may not have heard the answer, for its relay is gone: it asks again.
  void forget_detached(const Member& self);
  bool has_detached_member() const;
  // Forgets the connection. Its number is free again.
  void remove(Connection connection);

  std::size_t ready_count() const { return ready_; }
  std::size_t expected() const { return expected_; }
  // Those in no view: ready, or on their way. By rank.
  std::vector<Connection> ready_ones() const;
  std::vector<Rank> missing() const;
  const std::optional<Workload>& workload() const { return workload_; }
  // "rank 2 has 12 steps, rank 0 has 10"; empty: all have the same work.
  std::string disagreement() const;
  bool agrees(Connection connection) const;

  const std::unordered_map<Connection, Peer>& peers() const { return peers_; }
  std::unordered_map<Connection, Peer>& peers() { return peers_; }
  // Ready peers become members, in this order.
  void admit(const std::vector<Connection>& connections);

 private:
  std::unordered_map<Connection, Peer> peers_;
  std::size_t expected_;
  std::map<Rank, std::uint32_t> incarnations_;  // that were given before
  struct Number {
    std::optional<Connection> taken_by = {};
    std::uint32_t incarnation = 0;  // the last one given
  };
  std::vector<Number> by_rank_;
  std::size_t ready_ = 0;
  std::size_t lowest_free_ = 0;  // no number below is free
  std::optional<Workload> workload_;
  Rank workload_of_ = 0;
  std::unordered_map<Connection, std::string> differing_;  // and in what
};

}  // namespace cadre::runtime
