#include "runtime/coordinator.h"

#include <algorithm>

#include "runtime/coordinator_machine.h"
#include "runtime/error.h"
#include "runtime/manifest.h"
#include "runtime/plain_text.h"
#include "runtime/rank_names.h"

namespace cadre::runtime {
namespace {

// What others wrote, for one line of a terminal or a record.
std::string short_line(const std::string& text) {
  constexpr std::size_t kMaxBytes = 2000;
  std::string line = plain_line(text.substr(0, kMaxBytes));
  return text.size() > kMaxBytes ? line + "…" : line;
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, TimePoint now)
    : machine_(std::make_unique<Machine>(std::move(options), now)) {}
Coordinator::Coordinator(Coordinator&&) noexcept = default;
Coordinator::~Coordinator() = default;

Effects Coordinator::on_message(Connection from, MemberMessage message, TimePoint now) {
  machine_->message(from, std::move(message), now);
  return machine_->take_effects();
}

Effects Coordinator::on_closed(Connection connection, const std::string& reason, TimePoint now) {
  machine_->closed(connection, reason, now);
  return machine_->take_effects();
}

Effects Coordinator::on_detached(Connection connection, TimePoint now) {
  machine_->detached(connection, now);
  return machine_->take_effects();
}

Effects Coordinator::on_tick(TimePoint now) {
  machine_->tick(now);
  return machine_->take_effects();
}

Effects Coordinator::on_stop(const std::string& reason, TimePoint now) {
  machine_->stop(reason, now);
  return machine_->take_effects();
}

std::string Coordinator::why_not_drain(const std::set<Rank>& ranks) const {
  return machine_->why_not_drain(ranks);
}

Effects Coordinator::on_drain(const std::set<Rank>& ranks, const std::string& host, TimePoint now) {
  machine_->drain(ranks, host, now);
  return machine_->take_effects();
}

Effects Coordinator::on_invited(const std::set<Rank>& ranks, std::size_t numbers, const std::string& host,
                                TimePoint now) {
  machine_->invite(ranks, numbers, host, now);
  return machine_->take_effects();
}

Effects Coordinator::on_rank_ended(Rank rank, std::int64_t pid, const std::string& how, TimePoint now) {
  machine_->rank_ended(rank, pid, how, now);
  return machine_->take_effects();
}

Effects Coordinator::on_left_out(Rank rank, const std::string& reason, TimePoint now) {
  machine_->left_out(rank, reason, now);
  return machine_->take_effects();
}

Effects Coordinator::on_checkpoint_published(std::uint64_t step, const std::string& problem, TimePoint now) {
  machine_->checkpoint_published(step, problem, now);
  return machine_->take_effects();
}

Effects Coordinator::on_checkpoint_found(const CoordinatorOptions::Start& found, TimePoint now) {
  machine_->checkpoint_found(found, now);
  return machine_->take_effects();
}

bool Coordinator::finished() const {
  return machine_->finished();
}
std::uint64_t Coordinator::done_steps() const {
  return machine_->course().done;
}
const View& Coordinator::view() const {
  return machine_->view();
}
std::uint64_t Coordinator::ignored() const {
  return machine_->ignored();
}

Coordinator::Machine::Machine(CoordinatorOptions options, TimePoint now)
    : options_(std::move(options)),
      now_(now),
      began_(now),
      last_came_or_went_(now),
      last_tick_(now),
      watching_since_(now),
      roll_(options_.expected_ranks, options_.incarnations),
      awaited_(options_.awaited),
      left_out_(options_.before.left_out),
      snapshots_(options_.published, options_.start.manifest.step),
      newest_folder_(options_.start.folder) {
  CADRE_CHECK(options_.expected_ranks > 0 && options_.min_ranks > 0, options_.expected_ranks, " ranks expected, ",
              options_.min_ranks, " at least");
  roll_.widen(options_.numbers);
  options_.policy.state_copies = std::max(1U, options_.policy.state_copies);
  stamp_ = {options_.term, std::max(options_.start.manifest.generation, options_.last_generation), options_.last_view};
  if (!newest_folder_.empty()) course_ = course_of(options_.start.manifest);
  newest_course_ = course_;
  if (snapshots_.is_published(static_cast<std::uint64_t>(course_.best.step))) best_published_ = course_.best.step;
}

// ---- events

void Coordinator::Machine::message(Connection from, MemberMessage&& message, TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  if (finished()) return;
  Peer& peer = roll_.peer(from, now);
  std::visit([&](auto&& said) { on(from, peer, std::move(said)); }, std::move(message));
}

void Coordinator::Machine::closed(Connection connection, const std::string& reason, TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  if (finished()) return;
  lose(connection, reason);
}

void Coordinator::Machine::tick(TimePoint now) {
  if (finished()) return;
  // Had this process been stopped, every rank would look silent.
  if (now - last_tick_ > options_.heartbeat_limit / 2) watching_since_ = now;
  last_tick_ = now_ = now;
  journal_start();
  if (finished()) return;
  check_limits();
}

void Coordinator::Machine::stop(const std::string& reason, TimePoint now) {
  if (finished() || stopping_) return;
  now_ = now;
  journal_start();
  if (finished()) return;
  stopping_ = reason;
  if (takes_over() && !short_since_) {
    say("stops when the ranks have come back to the coordinator");
  } else if (phase_ == Phase::kGathering || short_since_) {
    finish({RunOutcome::kStopped, reason, short_since_ ? newest_course_.done : course_.done, {}, {}});
  } else if (phase_ == Phase::kWaiting) {
    do_next();
  }
}

void Coordinator::Machine::left_out(Rank rank, const std::string& reason, TimePoint now) {
  if (finished()) return;
  now_ = now;
  journal_start();
  if (finished() || rank >= roll_.numbers()) return;
  if (left_out_.insert(rank).second) {
    journal("left_out", reason, {{"rank", rank}}, Durability::kKernel);
    say(reason, true);
  }
  end_if_nobody_can_come();
  if (finished() || phase_ != Phase::kGathering || takes_over()) return;
  // Nothing is done yet that could go on without them.
  if (most_ranks() < options_.min_ranks) return fail(reason);
  begin_when_all_are_ready();
}

// ---- what a member says

bool Coordinator::Machine::is_current(const Peer& peer, const Stamp& stamp, Phase phase) {
  const bool is_whole = !peer.has_gap || phase == Phase::kWriting;
  if (peer.is == Peer::Is::kMember && stamp == stamp_ && phase_ == phase && is_whole) return true;
  ++ignored_;
  return false;
}

bool Coordinator::Machine::accept(Connection from, const Taken& taken) {
  switch (taken.as) {
    case Taken::As::kTaken:
      roll_.find(from)->progressed = now_;
      return true;
    case Taken::As::kIgnored:
      ++ignored_;
      return true;
    case Taken::As::kBroken:
      put_out(from, taken.problem);
      return false;
  }
  return false;
}

void Coordinator::Machine::on(Connection from, Peer& peer, Join&& message) {
  if (peer.is != Peer::Is::kConnected) return put_out(from, "joined twice");
  if (stopping_ || phase_ == Phase::kWriting) return refuse(from, "the run is about to end");
  if (drained_.contains(message.self.rank)) return refuse_drained(from, message.self.rank);
  roll_.forget_detached(message.self);
  if (const std::string problem = roll_.join(from, message.self); !problem.empty()) return refuse(from, problem);
  // Before it is a member nothing depends on it: not worth the disk's time.
  note_arrival(peer.member.rank);
  left_out_.erase(peer.member.rank);
  journal("joined", runtime::say("rank ", peer.member.rank, " loads"), as_json(peer.member), Durability::kKernel);
  welcome(from, peer.member);
}

// A rank whose connection was lost. One whose place is still kept has it back, and to a new coordinator it comes as
// what it was; one that this coordinator has given up comes back like one that was restarted.
void Coordinator::Machine::on(Connection from, Peer& peer, Rejoin&& message) {
  if (peer.is != Peer::Is::kConnected) return put_out(from, "joined twice");
  if (const auto before = roll_.connection_of(message.self)) {
    effects_.push_back(Close{*before, "it has connected anew"});
    if (roll_.find(*before)->is == Peer::Is::kMember) return attach(from, *before, message);
    roll_.remove(*before);
  }
  if ((stopping_ && !takes_over()) || phase_ == Phase::kWriting) return refuse(from, "the run is about to end");
  const bool is_awaited = takes_over() && awaited_.contains(message.self.rank);
  if (drained_.contains(message.self.rank) && !is_awaited) return refuse_drained(from, message.self.rank);
  // What it holds counts where the coordinator before may have counted on it; else it forgets it with its incarnation.
  const bool counts = phase_ == Phase::kGathering && (message.stamp.view == 0 || may_hold_state(message.self));
  const std::string problem = roll_.rejoin(from, message.self, !counts);
  if (!problem.empty()) return refuse(from, problem);
  Peer& self = *roll_.find(from);
  note_arrival(self.member.rank);
  left_out_.erase(self.member.rank);
  journal("joined", runtime::say("rank ", self.member.rank, " is back"), as_json(self.member), Durability::kKernel);
  if (counts) {
    self.in = message.stamp;
    self.committed = message.committed;
  }
  welcome(from, self.member);
  if (message.is_ready) on(from, self, Ready{std::move(message.workload), std::move(message.self.endpoints)});
}

void Coordinator::Machine::welcome(Connection connection, const Member& member) {
  effects_.push_back(Tell{{connection}, Welcome{stamp_, member.rank, member.incarnation, member.shares_folder, {}}});
}

void Coordinator::Machine::on(Connection from, Peer& peer, Ready&& message) {
  // What was on its way when the connection was lost.
  if (peer.is >= Peer::Is::kReady) {
    ++ignored_;
    return;
  }
  if (peer.is != Peer::Is::kJoined) return put_out(from, "was ready before it joined");
  roll_.ready(from, message);
  if (phase_ == Phase::kGathering) return begin_when_all_are_ready();
  // At the next boundary it becomes a member.
  if (!roll_.agrees(from)) refuse(from, roll_.disagreement());
  if (short_since_) install_when_enough_are_back();
}

void Coordinator::Machine::on(Connection from, Peer& peer, Progress&& message) {
  if (phase_ == Phase::kEvaluating || phase_ == Phase::kWriting) {
    if (is_current(peer, message.stamp, phase_)) peer.progressed = now_;
    return;
  }
  if (!is_current(peer, message.stamp, Phase::kTraining)) return;
  accept(from, votes_.take(peer.index, std::move(message)));
}

void Coordinator::Machine::on(Connection from, Peer& peer, Prepared&& message) {
  if (!is_current(peer, message.stamp, Phase::kTraining)) return;
  if (accept(from, votes_.take(peer.index, message)) && votes_.complete()) settle_step();
}

void Coordinator::Machine::on(Connection from, Peer& peer, Evaluated&& message) {
  if (!is_current(peer, message.stamp, Phase::kEvaluating)) return;
  if (accept(from, evaluation_.take(peer.index, message)) && evaluation_.complete()) settle_evaluation();
}

void Coordinator::Machine::on(Connection, Peer& peer, Report&& message) {
  // The view that it leaves may be of an earlier term.
  const bool is_asked = peer.is == Peer::Is::kMember && phase_ == Phase::kFencing && message.stamp == peer.in;
  if (!is_asked || reports_[peer.index]) {
    ++ignored_;
    return;
  }
  reports_[peer.index] = std::move(message);
  --missing_reports_;
  install_when_all_have_reported();
}

void Coordinator::Machine::on(Connection from, Peer& peer, ShardWritten&& message) {
  if (peer.is != Peer::Is::kMember || !snapshots_.waits_for(peer.member.rank, message.step, message.stamp)) {
    ++ignored_;
    return;
  }
  if (!is_plain_file_name(message.file) || !is_sha256(message.sha256)) {
    return put_out(from, "named a shard that is no plain file, or its hash is none");
  }
  const Snapshot* whole = snapshots_.add(peer.member.rank, message);
  if (whole == nullptr) return;
  if (!whole->problem.empty()) {
    effects_.push_back(GiveUpCheckpoint{whole->step, whole->stamp, whole->problem});
    return;
  }
  // A checkpoint never outlives the commits that it is of, should the machine die.
  journal("shards", whole->reason, {{"step", whole->step}}, Durability::kDisk, false);
  effects_.push_back(Publish{{.run_id = options_.run_id,
                              .step = whole->step,
                              .generation = whole->stamp.generation,
                              .view = whole->stamp.view,
                              .data_position = {{"step", whole->step}},
                              .state = state_of(whole->course, *roll_.workload())},
                             whole->shards,
                             whole->reason});
}

void Coordinator::Machine::on(Connection, Peer& peer, ShardFailed&& message) {
  if (peer.is != Peer::Is::kMember || !snapshots_.waits_for(peer.member.rank, message.step, message.stamp)) {
    ++ignored_;
    return;
  }
  const std::string reason = runtime::say("rank ", peer.member.rank, ": ", short_line(message.reason));
  if (const Snapshot* all = snapshots_.add(peer.member.rank, message, reason)) {
    effects_.push_back(GiveUpCheckpoint{all->step, all->stamp, all->problem});
  }
}

void Coordinator::Machine::on(Connection, Peer& peer, ResultWritten&& message) {
  if (!is_current(peer, message.stamp, Phase::kWriting)) return;
  if (peer.index != view_.writer()) {
    ++ignored_;
    return;
  }
  finish(
      {RunOutcome::kSucceeded, "the result was read back equal", course_.done, std::move(message.sha256), result_of_});
}

void Coordinator::Machine::on(Connection from, Peer& peer, Failed&& message) {
  const std::string reason = short_line(message.reason);
  // One that was about to join is no loss to those that are at work.
  if (peer.is != Peer::Is::kMember && phase_ != Phase::kGathering) return put_out(from, reason);
  if (phase_ == Phase::kWriting && peer.index == view_.writer() && write_last_instead(reason)) return;
  // A process may fail where another would not, by its memory or its device: of each step one may.
  const bool computes = phase_ == Phase::kTraining || phase_ == Phase::kEvaluating || phase_ == Phase::kFencing;
  if (computes && !message.user_can_mend && live_ > options_.min_ranks && failed_at_ != course_.done) {
    failed_at_ = course_.done;
    return put_out(from, "it failed: " + reason);
  }
  const bool is_elsewhere =
      peer.is != Peer::Is::kConnected && !options_.host.empty() && peer.member.host != options_.host;
  if (message.user_can_mend && !is_elsewhere) return fail(reason, RunOutcome::kUserError);
  const RunOutcome outcome = message.user_can_mend ? RunOutcome::kUserError : RunOutcome::kFailed;
  const std::string where = is_elsewhere ? " on " + peer.member.host : "";
  // The launcher has loaded the same before.
  const bool lacks_files = is_elsewhere && message.user_can_mend && phase_ == Phase::kGathering;
  const std::string mend =
      lacks_files ? "; every host needs base_model at the path that it has on the launch node" : "";
  fail(peer.is == Peer::Is::kConnected ? reason : runtime::say("rank ", peer.member.rank, where, ": ", reason, mend),
       outcome);
}

void Coordinator::Machine::on(Connection, Peer& peer, Note&& message) {
  const std::string text = short_line(message.text);
  say(peer.is == Peer::Is::kConnected || roll_.numbers() == 1 ? text
                                                              : runtime::say("rank ", peer.member.rank, ": ", text),
      message.warning);
}

void Coordinator::Machine::on(Connection, Peer&, Heartbeat&&) {}

void Coordinator::Machine::on(Connection, Peer& peer, PeerLost&& message) {
  const auto accused = view_.index_of(message.peer);
  const bool counts = peer.is == Peer::Is::kMember && message.stamp == view_.stamp && phase_ != Phase::kFencing;
  if (!counts || !accused || *accused == peer.index || connections_[*accused] == 0) {
    ++ignored_;
    return;
  }
  complaints_.add(peer.member.rank, message.peer, now_);
}

// The file server has connections of its own.
void Coordinator::Machine::on(Connection from, Peer&, ReadFile&&) {
  put_out(from, "asked the coordinator for a file");
}
void Coordinator::Machine::on(Connection from, Peer&, WriteFile&&) {
  put_out(from, "sent a file to the coordinator");
}
void Coordinator::Machine::on(Connection from, Peer&, FinishFile&&) {
  put_out(from, "sent a file to the coordinator");
}

}  // namespace cadre::runtime
