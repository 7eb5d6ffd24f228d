// Who takes part: gathering, losses, the fence, and the view that follows.
#include <algorithm>

#include "runtime/chunks.h"
#include "runtime/coordinator_machine.h"
#include "runtime/error.h"
#include "runtime/rank_names.h"

namespace cadre::runtime {
namespace {

// Peers' numbers size what is kept for each step and chunk. Empty: they are sound.
std::string problem_of(const Workload& workload) {
  constexpr std::uint64_t kMaxChunks = std::uint64_t{1} << 24;  // 10¹² parameters
  constexpr std::uint32_t kMaxMicroBatches = std::uint32_t{1} << 20;
  if (workload.total_steps == 0) return "there is no step to do";
  if (workload.elements == 0) return "there is no parameter to train";
  if (ChunkSpace{workload.elements}.count() > kMaxChunks)
    return say(workload.elements, " trained parameters are too many");
  std::uint64_t steps = 0;
  for (const EpochShape& epoch : workload.epochs) {
    const auto sound = [](std::uint32_t count) { return count > 0 && count <= kMaxMicroBatches; };
    if (epoch.steps == 0 || !sound(epoch.micro_batches) || !sound(epoch.last_micro_batches)) {
      return say("an epoch of ", epoch.steps, " steps of ", epoch.micro_batches, " and at last ",
                 epoch.last_micro_batches, " micro-batches");
    }
    steps += std::min(epoch.steps, workload.total_steps);
  }
  if (steps < workload.total_steps) return say("the epochs have fewer than the ", workload.total_steps, " steps");
  return {};
}

}  // namespace

boost::json::object as_json(const Member& member) {
  return {{"rank", member.rank},
          {"incarnation", member.incarnation},
          {"host", member.host},
          {"island", member.island},
          {"pid", member.pid}};
}

void Coordinator::Machine::begin_when_all_are_ready() {
  if (takes_over() && !short_since_) return take_over_when_all_are_back();
  if (short_since_ ? !has_enough_ranks() : !all_are_ready()) return;
  begin_with_ready_ones();
}

// But those that do not come.
bool Coordinator::Machine::all_are_ready() const {
  if (roll_.ready_count() + left_out_.size() + drained_.size() < roll_.expected()) return false;
  const std::vector<Rank> missing = roll_.missing();
  return std::all_of(missing.begin(), missing.end(),
                     [this](Rank rank) { return left_out_.contains(rank) || drained_.contains(rank); });
}

void Coordinator::Machine::begin_with_ready_ones() {
  if (const std::string problem = roll_.disagreement(); !problem.empty()) {
    return fail(problem + "; every rank must see the same configuration, data and model", RunOutcome::kUserError);
  }
  if (const std::string problem = problem_of(*roll_.workload()); !problem.empty()) return fail(problem);
  if (!newest_folder_.empty()) {
    try {
      require_same_work(options_.start.manifest, *roll_.workload());
    } catch (const UserError& error) {
      return fail(newest_folder_ + ": " + error.what(), RunOutcome::kUserError);
    }
  }
  if (takes_over() || short_since_) return take_over();
  if (options_.before.committed > course_.done) {
    // Of the same start of the run, but nobody is left who could be taken over.
    ++stamp_.generation;
    journal("rollback", "no rank of the coordinator before is left");
  }
  if (!newest_folder_.empty()) {
    say(runtime::say("going on from step ", course_.done, " of ", roll_.workload()->total_steps));
  }
  install(roll_.ready_ones(), true, left_out_.empty() ? "all ranks are ready" : "all ranks that can be are ready");
}

void Coordinator::Machine::refuse(Connection connection, const std::string& reason) {
  effects_.push_back(Tell{{connection}, Refused{reason}});
  effects_.push_back(Close{connection, reason});
  roll_.remove(connection);
}

void Coordinator::Machine::drop(Connection connection, const std::string& reason) {
  effects_.push_back(Close{connection, reason});
  lose(connection, reason);
}

void Coordinator::Machine::put_out(Connection connection, const std::string& reason) {
  effects_.push_back(Tell{{connection}, Refused{reason}});
  drop(connection, reason);
}

void Coordinator::Machine::lose(Connection connection, const std::string& reason) {
  const Peer* found = roll_.find(connection);
  if (found == nullptr) return;
  const Peer peer = *found;
  roll_.remove(connection);
  if (peer.is == Peer::Is::kConnected) return;
  const Rank rank = peer.member.rank;
  journal("lost", runtime::say("rank ", rank, ": ", reason),
          {{"rank", rank}, {"was_member", peer.is == Peer::Is::kMember}});
  say(runtime::say("rank ", rank, " is lost: ", reason), true);
  if (drained_.contains(rank)) journal_drained(rank);  // it does not come back
  if (phase_ == Phase::kGathering && !takes_over() && !short_since_ && peer.is == Peer::Is::kJoined) {
    if (++lost_early_[rank] <= kOftenEnough) last_came_or_went_ = now_;
    if (nobody_gets_ready()) {
      return fail(runtime::say("every rank was lost three times before it was ready; rank ", rank,
                               " is the last of them: ", reason, "; look at the logs of the ranks"));
    }
  }
  if (peer.is != Peer::Is::kMember) return;

  connections_[peer.index] = 0;
  complaints_.forget(rank);
  speeds_.forget(rank);
  --live_;
  remove_holder(residency_, rank);
  if (phase_ == Phase::kWriting && peer.index != view_.writer()) return;  // the result needs the writer only
  if (live_ < options_.min_ranks && !short_since_) {
    wait_for_others(runtime::say(live_, " of ", roll_.numbers(), " ranks are left and ", options_.min_ranks,
                                 " are needed; the last to go was rank ", rank),
                    ": " + reason);
    if (finished()) return;
  }
  give_up(snapshots_.that_miss(rank), runtime::say("rank ", rank, " was lost before its shard was there"));
  if (phase_ != Phase::kFencing) return fence(runtime::say("rank ", rank, " was lost: ", reason));
  if (reports_[peer.index]) {
    reports_[peer.index].reset();
  } else {
    --missing_reports_;
  }
  install_when_all_have_reported();
}

// Starting them again and again would only hide it.
bool Coordinator::Machine::nobody_gets_ready() const {
  if (roll_.ready_count() > 0) return false;
  for (Rank rank = 0; rank < roll_.expected(); ++rank) {
    const auto lost = lost_early_.find(rank);
    if (lost == lost_early_.end() || lost->second < kOftenEnough) return false;
  }
  return true;
}

void Coordinator::Machine::fence(const std::string& reason) {
  phase_ = Phase::kFencing;
  fenced_ = now_;
  fenced_because_ = reason;
  reports_.assign(view_.size(), std::nullopt);
  missing_reports_ = live_;
  complaints_.clear();
  // Who was still gathering when the loss came never gets to the snapshot that was ordered with the last commit.
  std::vector<std::uint64_t> missed = snapshots_.that_miss(std::nullopt);
  std::erase_if(missed, [this](std::uint64_t step) { return step != course_.done; });
  give_up(missed, "not all ranks may have begun it when one was lost");
  if (live_ == 0) return install_when_all_have_reported();  // nobody is left to be asked
  effects_.push_back(Tell{members(), Fence{stamp_}});
}

void Coordinator::Machine::install_when_all_have_reported() {
  if (missing_reports_ > 0) return;
  if (!has_enough_ranks()) return;
  const std::vector<Connection> stay = members();
  if (can_keep_state()) return install(stay, false, fenced_because_);
  // One that is being published is a later point to go back to.
  if (snapshots_.any_being_published()) return;
  if (search_ == Search::kNone) {
    if (doubted_ && snapshots_.is_published(*doubted_)) {
      snapshots_.removed(*doubted_);
      effects_.push_back(RemoveCheckpoint{*doubted_});
    }
    search_ = Search::kUnderWay;
    effects_.push_back(FindCheckpoint{});
  }
  if (search_ == Search::kUnderWay) return;
  search_ = Search::kNone;
  go_back(fenced_because_);
  install(stay, true, fenced_because_);
}

// Too few are left: for as long as others may come back. `because`: for the reason of an end at once.
void Coordinator::Machine::wait_for_others(const std::string& too_few, const std::string& because) {
  if (stopping_) return finish({RunOutcome::kStopped, *stopping_, newest_course_.done, {}, {}});
  if (options_.rejoin_wait.count() == 0) return end_short(too_few + because);
  short_since_ = now_;
  end_if_nobody_can_come();
  if (finished()) return;
  const double wait = std::chrono::duration<double>(options_.rejoin_wait).count();
  say(runtime::say(too_few, "; waiting up to ", wait, " s for others to come back"), true);
}

// The newest checkpoint stands, and the same command goes on from it.
void Coordinator::Machine::end_short(const std::string& reason) {
  say(reason, true);
  finish({RunOutcome::kStopped, reason, newest_course_.done, {}, {}});
}

void Coordinator::Machine::end_if_nobody_can_come() {
  if (!short_since_ || most_ranks() >= options_.min_ranks) return;
  const std::vector<Rank> gone(left_out_.begin(), left_out_.end());
  const std::string why =
      gone.empty() ? "the others have left"
                   : names_of(gone) + (gone.size() == 1 ? " was" : " were") + " lost too often to be started again";
  end_short(
      runtime::say(live_, " of ", roll_.numbers(), " ranks are left, ", options_.min_ranks, " are needed and ", why));
}

void Coordinator::Machine::install_when_enough_are_back() {
  if (phase_ == Phase::kGathering) return begin_when_all_are_ready();
  install_when_all_have_reported();
}

bool Coordinator::Machine::has_enough_ranks() const {
  return !short_since_ || live_ + roll_.ready_count() >= options_.min_ranks;
}

bool Coordinator::Machine::goes_on() const {
  return !stopping_ && !must_go_back_ && !is_at_end(options_.policy, *roll_.workload(), course_);
}

bool Coordinator::Machine::can_admit() const {
  return roll_.ready_count() > 0 && goes_on();
}

Placement Coordinator::Machine::placement_in(const View& view) const {
  return place(view, ChunkSpace{roll_.workload()->elements}.count(), options_.policy.state_copies);
}

void Coordinator::Machine::settle_residency() {
  resident_in_ = view_;
  residency_ = residency_of(view_, placement_);
}

bool Coordinator::Machine::can_keep_state() const {
  if (!options_.keep_state || !is_loaded_ || must_go_back_ || has_orphan(residency_)) return false;
  // A rank has each commit that was sent before its fence, though perhaps not the parameters of all owners.
  for (std::size_t index = 0; index < reports_.size(); ++index) {
    if (!reports_[index] || !resident_in_.has(view_.members[index])) continue;
    const std::uint64_t committed = reports_[index]->committed;
    if (committed != course_.done && committed + 1 != course_.done) return false;
  }
  return true;
}

void Coordinator::Machine::go_back(const std::string& reason) {
  give_up(snapshots_.that_miss(std::nullopt), "all ranks go back to the last checkpoint");
  owed_snapshot_.clear();
  must_go_back_ = false;
  const std::uint64_t undone = course_.done - newest_course_.done;
  course_ = newest_course_;
  doubted_.reset();
  snapshots_.go_back(course_.done);
  ++stamp_.generation;
  journal("rollback", runtime::say(reason, "; ", undone, undone == 1 ? " step is" : " steps are", " done again"));
  effects_.push_back(RolledBack{course_.done, stamp_.generation, newest_folder_.empty(), reason});
}

void Coordinator::Machine::install(const std::vector<Connection>& stay, bool load, const std::string& reason) {
  std::vector<Connection> connections = stay;
  // With too few left nothing goes on without the others.
  if (load || short_since_ || can_admit()) {
    for (const Connection connection : roll_.ready_ones()) connections.push_back(connection);
  }
  short_since_.reset();
  const auto rank_of = [&](Connection connection) { return roll_.find(connection)->member.rank; };
  std::sort(connections.begin(), connections.end(),
            [&](Connection a, Connection b) { return rank_of(a) < rank_of(b); });
  connections.erase(std::unique(connections.begin(), connections.end()), connections.end());

  // After a fence, in the order of the new view; who comes in has nothing in hand.
  std::vector<Report> reports;
  for (const Connection connection : reports_.empty() ? std::vector<Connection>{} : connections) {
    const Peer& peer = *roll_.find(connection);
    std::optional<Report> said;
    if (peer.is == Peer::Is::kMember) said = std::move(reports_[peer.index]);
    reports.push_back(said.value_or(Report{}));
  }
  reports_.clear();
  ++stamp_.view;
  view_ = {stamp_, {}};
  for (const Connection connection : connections) view_.members.push_back(roll_.find(connection)->member);
  const std::set<Rank> leaving = leavers();
  for (Member& member : view_.members) member.is_leaving = leaving.contains(member.rank);
  connections_ = connections;
  live_ = connections.size();
  roll_.admit(connections);
  for (const Connection connection : connections) roll_.find(connection)->in = stamp_;
  placement_ = placement_in(view_);
  if (load) {
    settle_residency();
    is_loaded_ = false;
  }
  complaints_.clear();
  boost::json::array present;
  for (const Member& member : view_.members) {
    present.push_back(as_json(member));
    if (member.is_leaving) present.back().as_object()["is_leaving"] = true;
  }
  journal("view", runtime::say(live_, live_ == 1 ? " rank: " : " ranks: ", reason),
          {{"members", std::move(present)}, {"load", load}});

  const Next following = next(false);
  const Order* order = std::get_if<Order>(&following);
  if (order == nullptr) {
    CADRE_CHECK(std::holds_alternative<Leave>(following), "ranks come or go in a view that is not there yet");
    return do_next();
  }
  NewView message{view_, load, load ? newest_folder_ : "", load ? View{} : resident_in_, options_.policy.state_copies,
                  *order};
  Salvage salvaged;
  // In rounds nobody keeps a node, in an audit nobody may: all is dealt out anew.
  const bool keeps_nodes = !options_.policy.in_rounds && !order->audit;
  if (!load && !reports.empty() && order->kind == Order::Kind::kTrain && keeps_nodes) {
    salvaged = salvage(order->step, roll_.workload()->micro_batches_of(order->step), view_, reports);
    message.order.shares = std::move(salvaged.shares);
  }
  begin(message.order);
  for (Kept& kept : salvaged.kept) votes_.keep(kept.member, std::move(kept.from), std::move(kept.result));
  told_view_ = message;
  effects_.push_back(Tell{connections_, std::move(message)});
}

}  // namespace cadre::runtime
