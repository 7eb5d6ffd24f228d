// A coordinator among simulated ranks: no sockets, no clocks, no files. Messages of different ranks overtake each other
// as a seed says, those of one rank keep their order. What the design promises is checked after every effect.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "runtime/coordinator.h"
#include "runtime/error.h"
#include "runtime/term_journal.h"

namespace cadre::runtime {

// Losses, norms and parameters as functions of step and index, so that a run's end tells what was applied to what.
double loss_of(std::uint64_t step, std::uint32_t micro_batch);
double squares_of(std::uint64_t step, std::uint64_t chunk);
std::uint64_t parameters_after(std::uint64_t before, std::uint64_t step, double clip_scale);
inline constexpr std::uint64_t kSeededParameters = 1;

struct SimulatedRank {
  Connection connection = 0;
  Rank number = 0;
  std::uint32_t incarnation = 0;
  bool ready = false;
  bool alive = true;
  Stamp stamp = {};
  std::uint32_t index = 0;
  std::size_t members = 0;
  View view = {};
  std::uint64_t done = 0, parameters = kSeededParameters;
  std::uint64_t step = 0;  // in hand
  std::vector<Range> held = {};
  std::vector<MicroBatchResult> results = {};
  std::optional<Order> ended = {};
  std::string refused = {};
  std::vector<ChunkDigest> said = {};  // with the last vote, on this step
  std::uint64_t said_of = ~std::uint64_t{0};
  std::deque<MemberMessage> outbox = {};
};

class SimulatedWorld {
 public:
  SimulatedWorld(CoordinatorOptions options, Workload workload, std::uint64_t seed = 1);

  // Lets a process join under `rank`; on a host of its own, which shares the run's folder or not.
  Connection start_rank(Rank rank, bool shares_folder = false);
  // Delivers one message. False when there is none.
  bool deliver_one();
  // Until nothing is left to deliver or the run has finished.
  void run();
  // run(), with `hook` before every delivery.
  void run(const std::function<void(SimulatedWorld&)>& hook);

  void kill(Rank rank);
  void send(Rank rank, MemberMessage message);
  void send_from(Connection connection, MemberMessage message) {
    apply(coordinator_->on_message(connection, std::move(message), now_));
  }
  // The rank's connection is lost and made anew; the coordinator sees the end of the old one before that, or never.
  void reconnect(Rank rank, bool seen_first);
  // The relay of these ranks dies: what was on its way is lost, and what is told to a rank until it is back.
  void lose_relay(const std::set<Rank>& numbers);
  const std::string& refusal_of(Connection connection) const { return ranks_.at(connection).refused; }
  // The launcher says that this process, which was the rank's, has ended. Each rank's is number kPid.
  static constexpr std::int64_t kPid = 1;
  void say_ended(Rank rank, std::int64_t pid = kPid) {
    apply(coordinator_->on_rank_ended(rank, pid, "signal 9 (Killed)", now_));
  }
  void leave_out(Rank rank) { apply(coordinator_->on_left_out(rank, say("rank ", rank, " is left out"), now_)); }
  // Of host "b"; as a launcher does, it is said again to a coordinator that takes another's place.
  void drain(const std::set<Rank>& leaving);
  void invite(const std::set<Rank>& coming, std::size_t numbers);
  void stop() { apply(coordinator_->on_stop("signal 15", now_)); }
  void pass(std::chrono::milliseconds time);
  void publish_pending();
  // The coordinator dies, and another takes its place with what the journal and the disk have. Of what was on its way
  // to it, the seed says what still comes.
  void restart_coordinator();

  SimulatedRank* rank(Rank number);
  std::size_t alive() const;
  std::uint64_t done() const { return coordinator_->done_steps(); }
  // What an undisturbed run has after `step` updates.
  std::uint64_t expected_parameters(std::uint64_t step) const;

  // ---- knobs
  std::function<double(std::uint64_t step)> validation_loss = [](std::uint64_t step) { return 10.0 / (1.0 + step); };
  std::set<Rank> silent;            // their messages do not arrive
  std::set<Rank> gathering;         // they have the last commit and come to nothing that follows, until a fence
  std::set<std::uint64_t> damaged;  // checkpoints that are there
  std::set<Rank> slow_disks;        // their shards are not there yet
  std::function<void(SimulatedRank&, Prepared&)> change_vote;
  std::function<bool(SimulatedRank&, std::uint64_t step)> flip;   // a bit of each chunk that it holds
  std::function<bool(SimulatedRank&, std::uint64_t step)> spoil;  // its parameters, for an evaluation
  std::function<double(SimulatedRank&)> seconds_of;               // a micro-batch
  std::set<std::uint64_t> nonfinite;                              // steps, from 0, whose gradient is not a number
  std::function<std::string(std::uint64_t step)> publishing;      // a problem, or empty
  std::function<std::string(Rank rank, std::uint64_t step)> writing;
  bool publishes_at_once = true;
  std::optional<std::uint64_t> forgets_commits_after;  // what the journal loses when the coordinator dies
  std::optional<std::size_t> dies_in;                  // effects, until the coordinator dies

  // ---- what happened
  std::vector<Committed> commits;
  std::vector<EvaluationDone> evaluations;
  std::vector<RolledBack> rollbacks;
  std::vector<std::string> events;  // "checkpoint 4", of the entries for people
  std::vector<std::string> warnings, lines;
  std::set<std::uint64_t> checkpoints;  // that are there
  std::vector<Manifest> manifests;      // in the order of their publication
  std::optional<Finished> finished;
  std::optional<Order> result_order;
  std::uint64_t result_parameters = 0;
  std::optional<Rank> result_by;
  std::uint64_t computed = 0;       // micro-batches, in all
  std::size_t loads = 0;            // views that began with one
  std::size_t restarts = 0;         // of the coordinator
  std::size_t recoveries = 0;       // of them, without going back to a checkpoint
  std::vector<std::string> orders;  // "train 3 snapshot", as the first member was given them

  Coordinator& coordinator() { return *coordinator_; }

 private:
  void apply(Effects&& effects);
  void connect_anew(SimulatedRank rank);
  // The newest that is there and whole.
  CoordinatorOptions::Start find_checkpoint() const;
  void receive(SimulatedRank& rank, const CoordinatorMessage& message);
  void receive_state(SimulatedRank& rank, const NewView& message);
  void obey(SimulatedRank& rank, const Order& order);
  void check(const Committed& committed);

  CoordinatorOptions options_;
  Workload workload_;
  std::optional<Coordinator> coordinator_;
  TermHistory history_;
  TimePoint now_{};
  std::mt19937_64 random_;
  Connection last_connection_ = 0;
  std::size_t numbers_ = 0;  // of ranks, where some were invited
  std::map<Connection, SimulatedRank> ranks_;
  std::map<std::uint64_t, std::uint64_t> saved_parameters_;  // by step
  std::deque<std::uint64_t> to_publish_;
  std::map<std::uint64_t, std::string> given_up_;  // of them, with a problem
  bool is_asked_for_checkpoint_ = false;
  std::set<Rank> drained_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> committed_;  // (generation, step)
  std::optional<std::uint64_t> journaled_commit_;
  std::uint64_t expected_step_ = 0;
  Stamp last_stamp_ = {};
};

Workload workload_of(std::uint64_t steps, std::uint32_t micro_batches, std::uint64_t chunks = 5);

}  // namespace cadre::runtime
