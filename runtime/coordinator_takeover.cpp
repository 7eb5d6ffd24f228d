// A coordinator that takes the place of one that died: who has come back, and whether the run goes on from what the
// ranks have or from the newest checkpoint.
#include <algorithm>

#include "runtime/coordinator_machine.h"
#include "runtime/error.h"

namespace cadre::runtime {

bool Coordinator::Machine::may_hold_state(const Member& member) const {
  const auto awaited = awaited_.find(member.rank);
  if (awaited != awaited_.end() && awaited->second.incarnation == member.incarnation) return true;
  return options_.before.resident_in.has(member);
}

void Coordinator::Machine::give_up(Rank awaited, const std::string& reason) {
  const std::string what = runtime::say("rank ", awaited, ": ", reason);
  journal("lost", what, {{"rank", awaited}, {"was_member", true}});
  say(what + ", and is lost", true);
  if (drained_.contains(awaited)) journal_drained(awaited);  // it does not come back
  awaited_.erase(awaited);
}

void Coordinator::Machine::give_up_awaited() {
  const double limit = std::chrono::duration<double>(options_.heartbeat_limit).count();
  std::vector<Rank> missing;
  for (const auto& [rank, awaited] : awaited_) {
    if (!roll_.is_ready(rank)) missing.push_back(rank);
  }
  for (const Rank rank : missing) {
    give_up(rank, runtime::say("did not come back to the coordinator within ", limit, " s"));
  }
  take_over_when_all_are_back();
}

void Coordinator::Machine::rank_ended(Rank rank, std::int64_t pid, const std::string& how, TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  if (finished() || !takes_over() || short_since_) return;
  const auto awaited = awaited_.find(rank);
  if (awaited == awaited_.end() || awaited->second.pid != pid) return;
  const std::string reason = "its process has ended: " + how;
  if (const auto connection = roll_.connection_of({.rank = rank, .incarnation = awaited->second.incarnation})) {
    drop(*connection, reason);
    awaited_.erase(rank);
  } else if (!roll_.taken_by(rank)) {  // by a new process
    give_up(rank, reason);
  }
  take_over_when_all_are_back();
}

void Coordinator::Machine::take_over_when_all_are_back() {
  const auto is_back = [&](const auto& awaited) { return roll_.is_ready(awaited.first); };
  if (!std::all_of(awaited_.begin(), awaited_.end(), is_back)) return;
  if (roll_.ready_count() >= options_.min_ranks) return begin_with_ready_ones();
  wait_for_others(runtime::say(roll_.ready_count(), " of ", roll_.numbers(),
                               " ranks have come back to the coordinator and ", options_.min_ranks, " are needed"),
                  "");
}

void Coordinator::Machine::take_over() {
  const std::string reason = "a new coordinator has taken over";
  std::optional<Replayed> replayed = replay();
  if (replayed) go_on_as(std::move(*replayed));
  say(runtime::say(reason, "; going on from step ", course_.done, " of ", roll_.workload()->total_steps), true);
  if (replayed) return fence(reason);
  // What was done since is done again, to the same bits.
  ++stamp_.generation;
  journal("rollback", reason);
  install(roll_.ready_ones(), true, reason);
}

// From the newest checkpoint to the last commit of the journal. Nothing where the ranks that have come back do not
// surely hold all state of this commit between them, where a checkpoint on the way was lost with the coordinator, and
// where nothing would be gained.
std::optional<Coordinator::Machine::Replayed> Coordinator::Machine::replay() const {
  const TermHistory& before = options_.before;
  const View& resident_in = before.resident_in;
  const bool has_state = before.is_settled && resident_in.size() > 0;
  if (!options_.keep_state || !has_state || before.commits.empty()) return std::nullopt;
  Replayed replayed{.course = course_};
  replayed.residency = residency_of(resident_in, placement_in(resident_in));
  std::uint64_t committed = 0;
  for (const Member& member : resident_in.members) {
    const auto connection = roll_.connection_of(member);
    if (!connection || !roll_.is_ready(member.rank)) {
      remove_holder(replayed.residency, member.rank);
      continue;
    }
    const Peer& peer = roll_.peers().at(*connection);
    if (peer.in.generation != before.generation || peer.in.view < resident_in.stamp.view) return std::nullopt;
    committed = std::max(committed, peer.committed);
    replayed.members.emplace(member.rank, *connection);
  }
  if (has_orphan(replayed.residency)) return std::nullopt;
  // Who came in after the last commit.
  for (const auto& [rank, awaited] : awaited_) {
    const auto connection = roll_.connection_of({.rank = rank, .incarnation = awaited.incarnation});
    if (connection) replayed.members.emplace(rank, *connection);
  }

  const Workload& workload = *roll_.workload();
  RunCourse& course = replayed.course;
  // That of the seeded start is in no checkpoint.
  const auto first = before.evaluations.find(course.done);
  if (course.evaluated != course.done && first != before.evaluations.end()) {
    course.evaluated = course.done;
    course.best.observe(course.done, first->second);
  }
  for (const auto& [step, commit] : before.commits) {
    if (step <= course_.done) continue;
    if (step != course.done + 1) return std::nullopt;
    if (course.done > course_.done && !reason_to_save(options_.policy, workload, course).empty()) return std::nullopt;
    replayed.last = commit;
    settle(replayed.last, course, options_.logging_steps, workload);
    replayed.evaluation.reset();
    if (const auto loss = before.evaluations.find(step); loss != before.evaluations.end()) {
      replayed.best_before = course.best.step;
      course.evaluated = step;
      const bool best = course.best.observe(step, loss->second);
      replayed.evaluation = EvaluationDone{step, workload.epochs_after(step), loss->second, best};
    }
  }
  // The machine died, and the end of the journal with it: ranks have what it does not know.
  if (committed > course.done) return std::nullopt;
  // At the end the parameters may be those of the result already.
  if (course.done == course_.done || is_at_end(options_.policy, workload, course)) return std::nullopt;
  return replayed;
}

// As if this coordinator had been there all the time; the fence that follows finds out what each rank has in hand.
void Coordinator::Machine::go_on_as(Replayed replayed) {
  view_ = {{stamp_.term, options_.before.generation, options_.before.view}, {}};
  connections_.clear();
  std::vector<Connection> have_voted;  // on the last commit, of which some may not have heard
  for (const auto& [rank, connection] : replayed.members) {
    const Peer& peer = *roll_.find(connection);
    connections_.push_back(connection);
    view_.members.push_back(peer.member);
    if (peer.in.view == options_.before.resident_in.stamp.view) have_voted.push_back(connection);
  }
  live_ = connections_.size();
  if (live_ >= options_.min_ranks) {
    short_since_.reset();
  } else if (!short_since_) {
    short_since_ = now_;
  }
  roll_.admit(connections_);
  placement_ = placement_in(view_);
  resident_in_ = options_.before.resident_in;
  residency_ = std::move(replayed.residency);
  is_loaded_ = true;
  course_ = replayed.course;
  told_commit_ = commit_of(replayed.last);
  told_commit_.stamp.view = resident_in_.stamp.view;
  if (replayed.evaluation && replayed.evaluation->best) best_before_ = replayed.best_before;

  // Of what came last the records may have nothing, and the ranks have not heard.
  effects_.push_back(Recovered{course_.done - 1, replayed.last.compute_seconds + replayed.last.exchange_seconds});
  if (!have_voted.empty()) effects_.push_back(Tell{std::move(have_voted), told_commit_});
  replayed.last.at = now_;
  effects_.push_back(std::move(replayed.last));
  if (!replayed.evaluation) return;
  replayed.evaluation->at = now_;
  effects_.push_back(*replayed.evaluation);
}

}  // namespace cadre::runtime
