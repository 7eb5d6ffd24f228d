// What may not last for ever: silence, loading, computing, a fence, and two members that do not reach each other.
#include <algorithm>

#include "runtime/coordinator_machine.h"
#include "runtime/rank_names.h"

namespace cadre::runtime {
namespace {

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void Coordinator::Machine::check_limits() {
  // Collected first: a loss changes who is there.
  std::vector<Connection> silent;
  for (const auto& [connection, peer] : roll_.peers()) {
    if (now_ - std::max(peer.heard, watching_since_) > options_.heartbeat_limit) silent.push_back(connection);
  }
  std::sort(silent.begin(), silent.end());
  for (const Connection connection : silent) {
    if (finished()) return;
    drop(connection, runtime::say("silent for ", seconds(options_.heartbeat_limit), " s"));
  }
  if (finished()) return;
  if (takes_over() && !short_since_ && now_ - began_ > options_.heartbeat_limit) return give_up_awaited();
  if (phase_ == Phase::kGathering && !short_since_) check_gathering();
  if (finished()) return;
  if (short_since_ && now_ - *short_since_ > options_.rejoin_wait && !has_enough_ranks()) {
    return end_short(runtime::say(live_, " of ", roll_.numbers(), " ranks were left, ", options_.min_ranks,
                                  " are needed and no other came back within ", seconds(options_.rejoin_wait), " s"));
  }
  if (phase_ == Phase::kFencing && missing_reports_ > 0 && now_ - fenced_ > options_.fence_limit) {
    const std::vector<Connection> asked = connections_;
    for (std::size_t index = 0; index < asked.size() && phase_ == Phase::kFencing; ++index) {
      if (asked[index] == 0 || reports_[index]) continue;
      put_out(asked[index], runtime::say("did not answer the fence within ", seconds(options_.fence_limit), " s"));
    }
  }
  check_progress();
  if (!finished()) check_complaints();
}

// One that dies again and again while it loads does not put off the end of the others' waiting.
void Coordinator::Machine::note_arrival(Rank rank) {
  const auto lost = lost_early_.find(rank);
  if (lost == lost_early_.end() || lost->second <= kOftenEnough) last_came_or_went_ = now_;
}

// Who is not heard must come soon. Who is heard loads, from a slow disk perhaps.
void Coordinator::Machine::check_gathering() {
  constexpr std::chrono::minutes kLongestLoad{60};
  std::vector<Rank> loading, unheard, not_to_come;
  for (const Rank rank : roll_.missing()) {
    const bool is_to_come = !left_out_.contains(rank) && !drained_.contains(rank);
    (roll_.taken_by(rank) ? loading : is_to_come ? unheard : not_to_come).push_back(rank);
  }
  const bool all_load = unheard.empty() && !loading.empty();
  const std::chrono::milliseconds limit = all_load ? kLongestLoad : options_.join_limit;
  if (now_ - std::max(last_came_or_went_, watching_since_) <= limit) return;
  const std::vector<Rank>& late = all_load ? loading : unheard.empty() ? not_to_come : unheard;
  if (late.empty()) return;
  fail(runtime::say(names_of(late), all_load ? " still loading after " : " did not come within ", seconds(limit),
                    " s; look at the logs of ", late.size() == 1 ? "this rank" : "these ranks"));
}

// Of two that do not reach each other one must go, once a new view has not brought their connection back.
void Coordinator::Machine::check_complaints() {
  const std::optional<Rank> accused = complaints_.verdict(now_);
  if (!accused) return;
  const std::string problem = runtime::say("rank ", *accused, " cannot be reached by other ranks");
  if (!std::exchange(connected_anew_, true)) return fence(problem);
  put_out(connections_[*view_.index_of(*accused)], problem);
}

// By itself it follows from the steps so far. Nobody knows how long the first one takes, nor what the disk takes for a
// checkpoint; of a result's tensors one after the other is heard.
std::chrono::milliseconds Coordinator::Machine::progress_limit() const {
  constexpr std::chrono::minutes kLeast{1}, kLeastWriting{5}, kUnknown{60};
  if (options_.progress_limit.count() > 0) return options_.progress_limit;
  const bool is_known = phase_ != Phase::kWaiting && is_loaded_ && slowest_step_.count() > 0;
  const std::chrono::milliseconds least = phase_ == Phase::kWriting ? kLeastWriting : is_known ? kLeast : kUnknown;
  return std::max(least, std::chrono::duration_cast<std::chrono::milliseconds>(10 * slowest_step_));
}

void Coordinator::Machine::check_progress() {
  const std::chrono::milliseconds limit = progress_limit();
  const auto is_late = [&](TimePoint since) { return now_ - std::max({since, ordered_, watching_since_}) > limit; };
  const std::string reason = runtime::say("alive, but without progress for ", seconds(limit), " s");
  if (phase_ == Phase::kWriting) {
    const Connection writer = connections_[view_.writer()];
    if (is_late(roll_.find(writer)->progressed)) put_out(writer, reason);
    return;
  }
  if (phase_ == Phase::kWaiting && is_late(ordered_)) {
    for (const std::uint64_t step : snapshots_.that_miss(std::nullopt)) {
      const std::optional<Snapshot> snapshot = snapshots_.failed(step);
      effects_.push_back(GiveUpCheckpoint{step, snapshot->stamp, {}});
      checkpoint_failed(*snapshot, "a shard did not come in time");
    }
    return do_next();
  }
  if (phase_ != Phase::kTraining && phase_ != Phase::kEvaluating) return;
  std::vector<Connection> late;
  bool all_wait = phase_ == Phase::kTraining;
  for (const Connection connection : members()) {
    const Peer& peer = *roll_.find(connection);
    const bool owes =
        phase_ == Phase::kTraining ? votes_.owes_results(peer.index) : !evaluation_.has_answered(peer.index);
    if (owes && is_late(peer.progressed)) late.push_back(connection);
    if (owes || !is_late(peer.progressed)) all_wait = false;
  }
  for (const Connection connection : late) {
    if (!finished()) put_out(connection, reason);
  }
  // All have computed and none gets on: whoever is at fault does not answer the fence.
  if (late.empty() && all_wait) fence(runtime::say("no vote for ", seconds(limit), " s"));
}

}  // namespace cadre::runtime
