#include "runtime/roll_call.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"
#include "runtime/rank_names.h"

namespace cadre::runtime {
namespace {

// In what `other` differs from `work`; empty: in nothing.
std::string difference(const Workload& work, const Workload& other) {
  if (work == other) return {};
  if (work.total_steps != other.total_steps) return say(other.total_steps, " steps instead of ", work.total_steps);
  if (work.elements != other.elements) {
    return say(other.elements, " trained parameters instead of ", work.elements);
  }
  if (work.evaluation_units != other.evaluation_units) {
    return say(other.evaluation_units, " batches of validation rows instead of ", work.evaluation_units);
  }
  if (work.epochs != other.epochs) return "epochs of another shape";
  if (work.instructions != other.instructions) {
    return "instructions " + other.instructions + " instead of " + work.instructions +
           ", and others round otherwise; under an mpirun of your own, mpirun -x hands them on";
  }
  if (work.digest == other.digest) {
    return "another result of the same micro-batch: its processor, or a library there, rounds otherwise";
  }
  return "another model, other data or another configuration (digest " + other.digest.substr(0, 12) + " instead of " +
         work.digest.substr(0, 12) + ")";
}

}  // namespace

RollCall::RollCall(std::size_t expected, std::map<Rank, std::uint32_t> incarnations)
    : expected_(expected), incarnations_(std::move(incarnations)) {
  widen(expected);
}

void RollCall::widen(std::size_t numbers) {
  const std::size_t before = by_rank_.size();
  if (numbers <= before) return;
  by_rank_.resize(numbers);
  for (auto at = incarnations_.lower_bound(static_cast<Rank>(before)); at != incarnations_.end(); ++at) {
    if (at->first < numbers) by_rank_[at->first].incarnation = at->second;
  }
}

Peer& RollCall::peer(Connection connection, TimePoint now) {
  Peer& peer = peers_[connection];
  peer.heard = now;
  return peer;
}

Peer* RollCall::find(Connection connection) {
  const auto at = peers_.find(connection);
  return at == peers_.end() ? nullptr : &at->second;
}

std::string RollCall::join(Connection connection, const Member& self) {
  Rank rank = self.rank;
  if (rank == kAnyRank) {
    while (lowest_free_ < by_rank_.size() && by_rank_[lowest_free_].taken_by) ++lowest_free_;
    if (lowest_free_ == by_rank_.size()) return say("all ", by_rank_.size(), " rank numbers are taken");
    rank = static_cast<Rank>(lowest_free_);
  }
  if (rank >= by_rank_.size()) {
    return say("rank ", rank, " is not one of the ", by_rank_.size(), " expected ranks, which count from 0");
  }
  Number& number = by_rank_[rank];
  if (number.taken_by) return say("rank ", rank, " is taken by a process that is alive");
  number.taken_by = connection;
  Peer& peer = peers_.at(connection);
  peer.is = Peer::Is::kJoined;
  peer.member = self;
  peer.member.rank = rank;
  peer.member.incarnation = ++number.incarnation;
  return {};
}

std::string RollCall::rejoin(Connection connection, const Member& self, bool anew) {
  constexpr std::uint32_t kMostIncarnations = 1U << 31;
  if (self.rank >= by_rank_.size() || self.incarnation == 0 || self.incarnation > kMostIncarnations) {
    return say("rank ", self.rank, " of incarnation ", self.incarnation, " is none of this run's");
  }
  Number& number = by_rank_[self.rank];
  if (number.taken_by || self.incarnation < number.incarnation) {
    return say("rank ", self.rank, " is another process by now");
  }
  number.taken_by = connection;
  number.incarnation = anew ? self.incarnation + 1 : self.incarnation;
  Peer& peer = peers_.at(connection);
  peer.is = Peer::Is::kJoined;
  peer.member = self;
  peer.member.incarnation = number.incarnation;
  return {};
}

std::optional<Connection> RollCall::connection_of(const Member& self) const {
  if (self.rank >= by_rank_.size()) return std::nullopt;
  const Number& number = by_rank_[self.rank];
  return number.incarnation == self.incarnation ? number.taken_by : std::nullopt;
}

bool RollCall::is_ready(Rank rank) const {
  return rank < by_rank_.size() && by_rank_[rank].taken_by &&
         peers_.at(*by_rank_[rank].taken_by).is == Peer::Is::kReady;
}

void RollCall::ready(Connection connection, const Ready& ready) {
  Peer& peer = peers_.at(connection);
  peer.is = Peer::Is::kReady;
  peer.member.endpoints = ready.endpoints;
  ++ready_;
  if (!workload_) {
    workload_ = ready.workload;
    workload_of_ = peer.member.rank;
  }
  if (std::string found = difference(*workload_, ready.workload); !found.empty()) {
    differing_.emplace(connection, std::move(found));
  }
}

Peer& RollCall::attach(Connection from, Connection before) {
  Peer& peer = peers_.at(from);
  const TimePoint heard = peer.heard;
  peer = std::move(peers_.at(before));
  peer.heard = heard;
  peer.is_detached = false;
  peers_.erase(before);
  by_rank_[peer.member.rank].taken_by = from;
  return peer;
}

void RollCall::forget_detached(const Member& self) {
  if (self.rank >= by_rank_.size() || !by_rank_[self.rank].taken_by) return;
  const Connection taken_by = *by_rank_[self.rank].taken_by;
  const Peer& peer = peers_.at(taken_by);
  const bool is_same = peer.member.host == self.host && peer.member.pid == self.pid;
  if (peer.is_detached && is_same && peer.is != Peer::Is::kMember) remove(taken_by);
}

bool RollCall::has_detached_member() const {
  return std::any_of(peers_.begin(), peers_.end(), [](const auto& known) {
    return known.second.is_detached && known.second.is == Peer::Is::kMember;
  });
}

void RollCall::remove(Connection connection) {
  const auto at = peers_.find(connection);
  if (at == peers_.end()) return;
  const Peer& peer = at->second;
  if (peer.is == Peer::Is::kReady) --ready_;
  if (peer.is != Peer::Is::kConnected) {
    by_rank_[peer.member.rank].taken_by.reset();
    lowest_free_ = std::min<std::size_t>(lowest_free_, peer.member.rank);
  }
  differing_.erase(connection);
  peers_.erase(at);
}

std::vector<Connection> RollCall::ready_ones() const {
  std::vector<Connection> ready;
  for (const Number& number : by_rank_) {
    if (number.taken_by && peers_.at(*number.taken_by).is == Peer::Is::kReady) ready.push_back(*number.taken_by);
  }
  return ready;
}

std::vector<Rank> RollCall::missing() const {
  std::vector<Rank> missing;
  for (Rank rank = 0; rank < expected_; ++rank) {
    const std::optional<Connection>& by = by_rank_[rank].taken_by;
    if (!by || peers_.at(*by).is < Peer::Is::kReady) missing.push_back(rank);
  }
  return missing;
}

std::string RollCall::disagreement() const {
  if (differing_.empty()) return {};
  std::vector<Rank> ranks;
  for (const auto& [connection, what] : differing_) ranks.push_back(peers_.at(connection).member.rank);
  std::sort(ranks.begin(), ranks.end());
  const Connection first = *by_rank_[ranks.front()].taken_by;
  return say(names_of(ranks), ranks.size() == 1 ? " has " : " have ", "other work than rank ", workload_of_, ": rank ",
             ranks.front(), " has ", differing_.at(first));
}

bool RollCall::agrees(Connection connection) const {
  return differing_.count(connection) == 0;
}

void RollCall::admit(const std::vector<Connection>& connections) {
  for (std::uint32_t index = 0; index < connections.size(); ++index) {
    Peer& peer = peers_.at(connections[index]);
    if (peer.is == Peer::Is::kReady) --ready_;
    peer.is = Peer::Is::kMember;
    peer.index = index;
    peer.has_reported = false;
    peer.has_gap = false;
  }
}

}  // namespace cadre::runtime
