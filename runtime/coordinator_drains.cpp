// Ranks that are asked to leave before the end, so that their host can be worked on, and those that are invited. One
// that leaves is no loss, and goes as others come: at a step's end a new view begins in which it holds no chunk, and
// whoever is to hold its chunks gets them. They have all with the first commit; then a view without it follows.
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
  if (phase_ == Phase::kGathering && !takes_over()) return "the run has not begun to train; try again when it has";
  std::size_t stay = 0, leave = 0;
  const auto count = [&](Rank rank) {
    if (!drained_.contains(rank)) ++(ranks.contains(rank) ? leave : stay);
  };
  if (takes_over()) {
    for (const auto& [rank, awaited] : awaited_) count(rank);
  }
  for (std::size_t index = 0; index < connections_.size(); ++index) {
    if (connections_[index] != 0) count(view_.members[index].rank);
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
  for (const Rank rank : more) {
    const auto index = view_.index_of(rank);
    if (index && connections_[*index] != 0) continue;
    if (const auto connection = roll_.taken_by(rank)) refuse_drained(*connection, rank);
    journal_drained(rank);
  }
  end_if_nobody_can_come();
}

void Coordinator::Machine::invite(const std::set<Rank>& ranks, std::size_t numbers, const std::string& host,
                                  TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  if (finished()) return;
  bool is_new = numbers > roll_.numbers();
  roll_.widen(numbers);
  for (const Rank rank : ranks) {
    left_out_.erase(rank);
    is_new |= drained_.erase(rank) > 0;
  }
  if (!is_new || ranks.empty()) return;
  const std::string what =
      runtime::say(names_of_all(ranks), ranks.size() == 1 ? " is" : " are", " invited from host ", host);
  journal("invited", what, {{"host", host}, {"ranks", as_json(ranks)}}, Durability::kKernel);
  say(what);
}

std::size_t Coordinator::Machine::most_ranks() const {
  std::size_t ranks = 0;
  for (Rank rank = 0; rank < roll_.numbers(); ++rank) {
    const auto index = view_.index_of(rank);
    const bool is_there = index && connections_[*index] != 0;
    ranks += is_there || !(left_out_.contains(rank) || drained_.contains(rank));
  }
  return ranks;
}

std::set<Rank> Coordinator::Machine::leavers() const {
  std::set<Rank> leaving;
  for (const Member& member : view_.members) {
    if (drained_.contains(member.rank)) leaving.insert(member.rank);
  }
  const bool enough_stay = view_.size() - leaving.size() >= std::max<std::size_t>(1, options_.min_ranks);
  return enough_stay ? leaving : std::set<Rank>{};
}

bool Coordinator::Machine::has_new_leavers() const {
  const std::set<Rank> leaving = leavers();
  return goes_on() && std::any_of(view_.members.begin(), view_.members.end(), [&](const Member& member) {
           return member.is_leaving != leaving.contains(member.rank);
         });
}

bool Coordinator::Machine::may_part() const {
  // Until the first commit the others may not have got what they held.
  if (drained_.empty() || resident_in_.stamp != view_.stamp || !goes_on()) return false;
  const std::set<Rank> leaving = leavers();
  return !leaving.empty() && std::all_of(leaving.begin(), leaving.end(), [this](Rank rank) {
    return view_.members[*view_.index_of(rank)].is_leaving && snapshots_.that_miss(rank).empty();
  });
}

std::string Coordinator::Machine::hosts_of(const std::set<Rank>& leaving) const {
  std::set<std::string> hosts;
  for (const Rank rank : leaving) hosts.insert(drained_.at(rank));
  std::string names;
  for (const std::string& host : hosts) names += (names.empty() ? "host " : ", host ") + host;
  return names + (hosts.size() == 1 ? " is drained" : " are drained");
}

std::string Coordinator::Machine::reason_to_regroup() const {
  std::set<Rank> joiners;
  for (const Connection connection : roll_.ready_ones()) joiners.insert(roll_.peers().at(connection).member.rank);
  const std::set<Rank> leaving = leavers();
  std::string reason;
  if (!joiners.empty()) reason = names_of_all(joiners) + (joiners.size() == 1 ? " joins" : " join");
  if (!joiners.empty() && !leaving.empty()) reason += "; ";
  if (!leaving.empty()) {
    reason += names_of_all(leaving) + (leaving.size() == 1 ? " leaves: " : " leave: ") + hosts_of(leaving);
  }
  return reason;
}

// The new view is journaled before those that leave end: a coordinator that takes over knows who is awaited.
void Coordinator::Machine::part() {
  const std::set<Rank> leaving = leavers();
  const std::string reason =
      names_of_all(leaving) + (leaving.size() == 1 ? " has left: " : " have left: ") + hosts_of(leaving);
  std::vector<Connection> stay, leave;
  for (std::size_t index = 0; index < connections_.size(); ++index) {
    (leaving.contains(view_.members[index].rank) ? leave : stay).push_back(connections_[index]);
  }
  for (const Rank rank : leaving) {
    complaints_.forget(rank);
    speeds_.forget(rank);
    journal_drained(rank);
  }
  for (const Connection connection : leave) roll_.remove(connection);
  install(stay, false, reason);
  effects_.push_back(
      Tell{leave, Proceed{stamp_, Order{.kind = Order::Kind::kEnd, .step = course_.done, .reason = reason}}});
  for (const Connection connection : leave) effects_.push_back(Close{connection, reason});
}

void Coordinator::Machine::refuse_drained(Connection connection, Rank rank) {
  refuse(connection, "host " + drained_.at(rank) + " is drained");
}

void Coordinator::Machine::journal_drained(Rank rank) {
  const std::string& host = drained_.at(rank);
  const std::string what = runtime::say("rank ", rank, " has left: host ", host, " is drained");
  journal("drained", what, {{"rank", rank}, {"host", host}});
  say(what);
}

}  // namespace cadre::runtime
