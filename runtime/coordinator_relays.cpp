// Ranks that a relay on their host has spoken for, and that turn to the coordinator themselves when it is gone; also
// one that has connected anew before the end of its connection was seen here. Nobody is lost; what was on its way is,
// in both directions. So each rank hears again what it may have missed, and a fence finds out what it has in hand.
#include "runtime/coordinator_machine.h"
#include "runtime/error.h"

namespace cadre::runtime {

void Coordinator::Machine::detached(Connection connection, TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  Peer* peer = roll_.find(connection);
  if (finished() || peer == nullptr) return;
  if (peer->is == Peer::Is::kConnected) return roll_.remove(connection);
  if (peer->is == Peer::Is::kMember && !roll_.has_detached_member()) {
    say("a host's relay is gone; its ranks turn to the coordinator themselves", true);
  }
  peer->is_detached = true;
}

void Coordinator::Machine::attach(Connection from, Connection before, const Rejoin& message) {
  Peer& peer = roll_.attach(from, before);
  peer.has_gap = phase_ != Phase::kWriting;
  const Rank rank = peer.member.rank;
  connections_[peer.index] = from;
  journal("reconnected", runtime::say("rank ", rank, " has connected anew"), as_json(peer.member), Durability::kKernel);
  welcome(from, peer.member);
  give_up(snapshots_.that_miss(rank), runtime::say("word of rank ", rank, "'s shard may be lost"));
  // It may have missed a commit and the view that began with ranks coming in at once after it. One that still loads
  // what the view goes on from has not.
  const std::uint64_t of = resident_in_.stamp.view;
  if (message.stamp.view == of && told_commit_.stamp.view == of && message.committed + 1 == course_.done) {
    told_commit_.stamp = message.stamp;
    told_commit_.stamp.term = stamp_.term;
    effects_.push_back(Tell{{from}, told_commit_});
  }
  if (message.stamp != peer.in) effects_.push_back(Tell{{from}, told_view_});
  if (phase_ == Phase::kWriting) {
    if (peer.index == view_.writer()) effects_.push_back(Tell{{from}, Proceed{stamp_, order_}});
  } else if (phase_ == Phase::kFencing) {
    if (!reports_[peer.index]) effects_.push_back(Tell{{from}, Fence{stamp_}});
  } else if (!roll_.has_detached_member()) {
    fence("ranks have connected anew");
  }
}

}  // namespace cadre::runtime
