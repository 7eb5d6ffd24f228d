// Ranks that are asked to leave before the end, so that their host can be worked on, and those that are invited. One
// that leaves is no loss: at the end of a step, when nobody has work in hand, a new view goes on without it. The others
// hold all state between them, or else it goes through a checkpoint of this very step: no step is done again.
#include <algorithm>
#include <boost/json/array.hpp>

#include "runtime/coordinator_machine.h"
#include "runtime/rank_names.h"

namespace cadre::runtime {
namespace {

boost::json::array as_json(const std::set<Rank>& ranks) {
  return boost::json::array(ranks.begin(), ranks.end());
}

std::string names_of_all(const std::set<Rank>& ranks) {
  return names_of(std::vector<Rank>(ranks.begin(), ranks.end()));
}

}  // namespace

std::string Coordinator::Machine::why_not_drain(const std::set<Rank>& ranks) const {
  if (finished() || stopping_ || phase_ == Phase::kWriting) return "the run is about to end";
  if (takes_over()) return {};  // the coordinator before has agreed, or may_part() still has a say
  if (phase_ == Phase::kGathering) return "the run has not begun to train; try again when it has";
  std::size_t stay = 0, leave = 0;
  for (std::size_t index = 0; index < connections_.size(); ++index) {
    const Rank rank = view_.members[index].rank;
    if (connections_[index] == 0 || drained_.contains(rank)) continue;
    ++(ranks.contains(rank) ? leave : stay);
  }
  if (leave == 0 || stay >= options_.min_ranks) return {};
  return runtime::say("it would leave ", stay, " of ", stay + leave, " ranks, and min_ranks: ", options_.min_ranks,
                      " are needed");
}

void Coordinator::Machine::drain(const std::set<Rank>& ranks, const std::string& host, TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  if (finished()) return;
  std::set<Rank> more;
  for (const Rank rank : ranks) {
    if (rank < roll_.numbers() && drained_.emplace(rank, host).second) more.insert(rank);
  }
  if (more.empty() || phase_ == Phase::kGathering) return;
  const std::string what = runtime::say("host ", host, " is emptied: ", names_of_all(more),
                                        more.size() == 1 ? " leaves" : " leave", " at the end of a step");
  journal("draining", what, {{"host", host}, {"ranks", as_json(more)}}, Durability::kKernel);
  say(what);
  // Who is in no view has nothing that others need.
  for (const auto& [rank, of] : drained_) {
    if (!more.contains(rank)) continue;
    const auto index = view_.index_of(rank);
    if (index && connections_[*index] != 0) continue;
    if (const auto connection = roll_.taken_by(rank)) refuse(*connection, "host " + host + " is drained");
    journal_drained(rank);
  }
  if (short_since_) install_when_all_have_reported();  // one of them may have been waited for
}

void Coordinator::Machine::invite(const std::set<Rank>& ranks, std::size_t numbers, const std::string& host,
                                  TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  if (finished()) return;
  bool is_new = numbers > roll_.numbers();
  roll_.widen(numbers);
  for (const Rank rank : ranks) is_new |= drained_.erase(rank) > 0;
  if (!is_new || ranks.empty()) return;
  const std::string what =
      runtime::say(names_of_all(ranks), ranks.size() == 1 ? " is" : " are", " invited from host ", host);
  journal("invited", what, {{"host", host}, {"ranks", as_json(ranks)}}, Durability::kKernel);
  say(what);
}

bool Coordinator::Machine::may_part() const {
  if (drained_.empty() || !has_voted_ || must_go_back_ || disputes_.is_open(course_.done)) return false;
  std::size_t stay = 0, leave = 0;
  for (std::size_t index = 0; index < connections_.size(); ++index) {
    const Rank rank = view_.members[index].rank;
    if (connections_[index] == 0) return false;
    if (!drained_.contains(rank)) {
      ++stay;
      continue;
    }
    ++leave;
    // A shard of an earlier step's is on its way.
    const std::vector<std::uint64_t> missed = snapshots_.that_miss(rank);
    if (std::any_of(missed.begin(), missed.end(), [&](std::uint64_t step) { return step != course_.done; }))
      return false;
  }
  return leave > 0 && stay >= std::max<std::size_t>(1, options_.min_ranks);
}

bool Coordinator::Machine::parting_takes_checkpoint() const {
  Residency left = residency_;
  for (const auto& [rank, host] : drained_) remove_holder(left, rank);
  return !options_.keep_state || !is_loaded_ || has_orphan(left);
}

std::string Coordinator::Machine::reason_to_part() const {
  std::set<std::string> hosts;
  for (const Member& member : view_.members) {
    if (const auto drained = drained_.find(member.rank); drained != drained_.end()) hosts.insert(drained->second);
  }
  std::string names;
  for (const std::string& host : hosts) names += (names.empty() ? "host " : ", host ") + host;
  return names + (hosts.size() == 1 ? " is drained" : " are drained");
}

// The new view is journaled before its leaving members end: a coordinator that takes over knows who is awaited.
void Coordinator::Machine::part() {
  const std::string reason = reason_to_part();
  const bool load = parting_takes_checkpoint();
  std::vector<Connection> stay, leave;
  std::vector<Rank> leaving;
  for (std::size_t index = 0; index < connections_.size(); ++index) {
    const Rank rank = view_.members[index].rank;
    const bool leaves = drained_.contains(rank);
    (leaves ? leave : stay).push_back(connections_[index]);
    if (leaves) leaving.push_back(rank);
  }
  for (const Rank rank : leaving) {
    complaints_.forget(rank);
    speeds_.forget(rank);
    remove_holder(residency_, rank);
  }
  reports_.assign(stay.size(), Report{});  // nobody has anything in hand
  install(stay, load, reason);
  for (const Rank rank : leaving) journal_drained(rank);
  effects_.push_back(
      Tell{leave, Proceed{stamp_, Order{.kind = Order::Kind::kEnd, .step = course_.done, .reason = reason}}});
  for (const Connection connection : leave) {
    effects_.push_back(Close{connection, reason});
    roll_.remove(connection);
  }
}

void Coordinator::Machine::journal_drained(Rank rank) {
  const std::string& host = drained_.at(rank);
  const std::string what = runtime::say("rank ", rank, " has left: host ", host, " is drained");
  journal("drained", what, {{"rank", rank}, {"host", host}});
  say(what);
}

}  // namespace cadre::runtime
