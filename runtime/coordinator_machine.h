// The coordinator's insides; coordinator.h says what it does. By idea: events in coordinator.cpp, views in
// coordinator_views.cpp, what may not last for ever in coordinator_limits.cpp, steps in coordinator_steps.cpp,
// checkpoints in coordinator_checkpoints.cpp, the place of one that died in coordinator_takeover.cpp, ranks whose relay
// did in coordinator_relays.cpp, those that are asked to leave or to come in coordinator_drains.cpp, the end and the
// record in coordinator_record.cpp.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/chunks.h"
#include "runtime/complaints.h"
#include "runtime/coordinator.h"
#include "runtime/disputes.h"
#include "runtime/evaluation_votes.h"
#include "runtime/placement.h"
#include "runtime/roll_call.h"
#include "runtime/run_course.h"
#include "runtime/salvage.h"
#include "runtime/snapshots.h"
#include "runtime/speeds.h"
#include "runtime/step_votes.h"

namespace cadre::runtime {

// Who a member is, as the journal has it.
boost::json::object as_json(const Member& member);

class Coordinator::Machine {
 public:
  Machine(CoordinatorOptions options, TimePoint now);

  // ---- events; each ends with take_effects()
  void message(Connection from, MemberMessage&& message, TimePoint now);
  void closed(Connection connection, const std::string& reason, TimePoint now);
  void detached(Connection connection, TimePoint now);
  void tick(TimePoint now);
  void stop(const std::string& reason, TimePoint now);
  std::string why_not_drain(const std::set<Rank>& ranks) const;
  void drain(const std::set<Rank>& ranks, const std::string& host, TimePoint now);
  void invite(const std::set<Rank>& ranks, std::size_t numbers, const std::string& host, TimePoint now);
  void rank_ended(Rank rank, std::int64_t pid, const std::string& how, TimePoint now);
  void left_out(Rank rank, const std::string& reason, TimePoint now);
  void checkpoint_published(std::uint64_t step, const std::string& problem, TimePoint now);
  void checkpoint_found(const CoordinatorOptions::Start& found, TimePoint now);
  Effects take_effects() { return std::exchange(effects_, {}); }

  bool finished() const { return phase_ == Phase::kFinished; }
  const RunCourse& course() const { return course_; }
  const View& view() const { return view_; }
  std::uint64_t ignored() const { return ignored_; }

 private:
  enum class Phase {
    kGathering,   // until all expected ranks are ready
    kTraining,    // a step is ordered; votes come in
    kEvaluating,  // an evaluation is
    kWaiting,     // for a checkpoint, before the end
    kWriting,     // the result is written
    kFencing,     // a member was lost; survivors report
    kFinished,
  };
  // What follows when nothing is in hand.
  struct Regroup {};  // a new view: those that are ready come in, those that are to leave hold nothing any more
  struct Part {};     // a new view without those
  struct Leave {};    // the run was stopped, and the checkpoint is there
  using Next = std::variant<Order, Regroup, Part, Leave>;

  // ---- what a member says (coordinator.cpp)
  void on(Connection from, Peer& peer, Join&& message);
  void on(Connection from, Peer& peer, Ready&& message);
  void on(Connection from, Peer& peer, Progress&& message);
  void on(Connection from, Peer& peer, Prepared&& message);
  void on(Connection from, Peer& peer, Evaluated&& message);
  void on(Connection from, Peer& peer, Report&& message);
  void on(Connection from, Peer& peer, ShardWritten&& message);
  void on(Connection from, Peer& peer, ShardFailed&& message);
  void on(Connection from, Peer& peer, ResultWritten&& message);
  void on(Connection from, Peer& peer, Failed&& message);
  void on(Connection from, Peer& peer, Note&& message);
  void on(Connection from, Peer& peer, Heartbeat&& message);
  void on(Connection from, Peer& peer, Rejoin&& message);
  void on(Connection from, Peer& peer, PeerLost&& message);
  void on(Connection from, Peer& peer, ReadFile&& message);
  void on(Connection from, Peer& peer, WriteFile&& message);
  void on(Connection from, Peer& peer, FinishFile&& message);
  void welcome(Connection connection, const Member& member);
  // Of this view, from a member, when it is awaited; else it is counted and dropped.
  bool is_current(const Peer& peer, const Stamp& stamp, Phase phase);
  // False when the member was broken, and is now lost.
  bool accept(Connection from, const Taken& taken);

  // ---- views (coordinator_views.cpp)
  void begin_when_all_are_ready();
  bool all_are_ready() const;
  void begin_with_ready_ones();
  // Nobody is gathered for the first time: members of a view come back to a new coordinator.
  bool takes_over() const { return phase_ == Phase::kGathering && !awaited_.empty(); }
  void check_limits();
  void check_gathering();
  void note_arrival(Rank rank);
  std::chrono::milliseconds progress_limit() const;
  void check_progress();
  void check_complaints();
  void lose(Connection connection, const std::string& reason);
  // Closes it first.
  void drop(Connection connection, const std::string& reason);
  // It is told that it is not to come back.
  void put_out(Connection connection, const std::string& reason);
  void refuse(Connection connection, const std::string& reason);
  bool nobody_gets_ready() const;
  void fence(const std::string& reason);
  void install_when_all_have_reported();
  std::vector<Connection> survivors() const;
  // With `load`, from the newest checkpoint; else from what the members have, the uncommitted step included. Those that
  // are ready come in.
  void install(const std::vector<Connection>& connections, bool load, const std::string& reason);
  bool has_enough_ranks() const;
  bool goes_on() const;
  // Ranks are ready, and there is work for them.
  bool can_admit() const;
  // How many ranks there may be.
  std::size_t most_ranks() const;
  Placement placement_in(const View& view) const;
  // The state is held by the placement of the view as it is.
  void settle_residency();
  void wait_for_others(const std::string& too_few, const std::string& because);
  void end_short(const std::string& reason);
  void end_if_nobody_can_come();
  void install_when_enough_are_back();
  bool can_keep_state() const;
  void go_back(const std::string& reason);

  // ---- in the place of one that died (coordinator_takeover.cpp)
  // The course of the run as the journal has it.
  struct Replayed {
    std::map<Rank, Connection> members = {};  // that have come back
    Residency residency = {};                 // of them
    RunCourse course = {};
    Committed last = {};
    std::optional<EvaluationDone> evaluation = {};  // of the last step
    std::int64_t best_before = -1;
  };
  // It was in the last view, or in the one by whose placement the state is held.
  bool may_hold_state(const Member& member) const;
  // It has not come back, and is lost.
  void give_up(Rank awaited, const std::string& reason);
  // All that have not come back.
  void give_up_awaited();
  void take_over_when_all_are_back();
  void take_over();
  std::optional<Replayed> replay() const;
  void go_on_as(Replayed replayed);

  // ---- ranks whose relay is gone (coordinator_relays.cpp)
  // A member that connects anew, with all that it may not have heard.
  void attach(Connection from, Connection before, const Rejoin& message);

  // ---- ranks that are asked to leave or to come (coordinator_drains.cpp)
  // The members that are to leave, where enough others stay.
  std::set<Rank> leavers() const;
  // The view was made before they were asked to.
  bool has_new_leavers() const;
  // They hold nothing any more that others need.
  bool may_part() const;
  void part();
  std::string reason_to_regroup() const;
  std::string hosts_of(const std::set<Rank>& leaving) const;
  void refuse_drained(Connection connection, Rank rank);
  void journal_drained(Rank rank);

  // ---- steps (coordinator_steps.cpp)
  // `may_regroup`: nothing is in hand, and a view may begin for those that come and go.
  Next next(bool may_regroup = true);
  void do_next();
  // Sets the phase and what is awaited.
  void begin(const Order& order);
  void proceed(Order order);
  void settle_step();
  std::string journal_nonfinite(const Committed& committed);
  void commit(Committed committed);
  Commit commit_of(const Committed& committed) const;
  void settle_evaluation();
  Order order_of_result();
  Order order_of_step();
  bool write_last_instead(const std::string& problem);
  void dispute(const std::string& copies, const std::string& parameters);
  // Who has erred is named, and at last put out.
  void blame(const std::map<Rank, std::uint32_t>& erred, std::uint64_t step);
  std::vector<Connection> members() const;

  // ---- checkpoints (coordinator_checkpoints.cpp)
  // Notes a snapshot of the state as it is now, which the next order asks for.
  void order_snapshot(std::string reason);
  void give_up(const std::vector<std::uint64_t>& snapshots, const std::string& reason);
  void checkpoint_failed(const Snapshot& snapshot, const std::string& problem);
  void remove_checkpoint(std::uint64_t step);
  void remove_old_checkpoints(std::uint64_t newest, std::int64_t best_before);
  std::string folder_of(std::uint64_t step) const;

  // ---- the end and the record (coordinator_record.cpp)
  void fail(const std::string& reason, RunOutcome outcome = RunOutcome::kFailed);
  void finish(Finished finished);
  // An entry, durable before what follows.
  void journal(std::string event, std::string reason, boost::json::object more = {},
               Durability durability = Durability::kDisk, bool for_people = true);
  void journal_start();
  void say(std::string line, bool warning = false);

  CoordinatorOptions options_;
  Effects effects_;
  Phase phase_ = Phase::kGathering;
  TimePoint now_{}, began_{};
  TimePoint last_came_or_went_{};             // a rank
  TimePoint last_tick_{}, watching_since_{};  // a tick that comes late is this process's own pause
  RollCall roll_;
  std::map<Rank, Awaited> awaited_;  // members that are to come back
  std::set<Rank> left_out_;          // they are lost, and nobody starts them again
  static constexpr std::uint32_t kOftenEnough = 3;
  std::map<Rank, std::uint32_t> lost_early_;  // how often, of those that were not ready yet
  std::uint64_t ignored_ = 0;
  bool started_ = false;  // the journal has its first entries
  std::optional<std::string> stopping_;

  Stamp stamp_;
  View view_;
  std::vector<Connection> connections_;  // of the view's members, by index; 0: lost
  std::size_t live_ = 0;                 // of them
  Placement placement_;
  View resident_in_;        // by whose placement its members hold the state
  Residency residency_;     // those of them that are still there
  bool is_loaded_ = false;  // since the last load: what the members say of their state is of this generation

  RunCourse course_;
  StepVotes votes_;
  Disputes disputes_;
  std::optional<std::uint64_t> failed_at_;  // step in which the last rank failed that the others went on without
  std::optional<std::uint64_t> doubted_;    // step whose state no later vote has confirmed, nor its checkpoint
  Speeds speeds_;
  EvaluationVotes evaluation_;
  NewView told_view_;  // the last one, and the last commit, without its order: for who has not heard them
  Commit told_commit_;
  Order order_;                                         // the one in hand
  TimePoint ordered_{};                                 // and since when
  std::chrono::steady_clock::duration slowest_step_{};  // from its order to its commit
  std::string result_of_;                               // which step's parameters, in words

  // A fence under way.
  TimePoint fenced_{};
  std::optional<TimePoint> short_since_;  // too few ranks are left, and others may come back
  std::string fenced_because_;
  std::vector<std::optional<Report>> reports_;  // by index in the view that is left
  std::size_t missing_reports_ = 0;

  std::map<Rank, std::string> drained_;  // that are to leave or have left, and of which host

  Complaints complaints_;
  bool connected_anew_ = false;  // since the last commit, because of one

  Snapshots snapshots_;
  std::string newest_folder_;      // what the ranks go back to; empty: the seeded start
  RunCourse newest_course_;        // and its state
  std::int64_t best_before_ = -1;  // the step that was best until the best one
  std::int64_t best_published_ = -1;
  enum class Search { kNone, kUnderWay, kDone } search_ = Search::kNone;  // for what all can go back to
  bool must_go_back_ = false;  // the best step's was given up, and only a replay brings its parameters back
  std::string owed_snapshot_;  // the reason of one that was given up with a holder
};

}  // namespace cadre::runtime
