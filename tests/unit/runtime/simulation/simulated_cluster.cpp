#include "tests/unit/runtime/simulation/simulated_cluster.h"

#include <algorithm>
#include <bit>
#include <cstdio>

#include "runtime/chunks.h"
#include "runtime/error.h"
#include "runtime/json_print.h"
#include "runtime/run_course.h"
#include "tests/unit/runtime/simulation/verdict.h"

namespace cadre::simulation {

using namespace std::chrono_literals;

SimulatedCluster::SimulatedCluster(Scenario scenario, SimulationOptions options)
    : scenario_(std::move(scenario)),
      options_(options),
      trajectory_(trajectory_of(scenario_.workload, scenario_.policy.max_grad_norm)),
      chance_(scenario_.seed ^ 0x5DEECE66DU),
      network_(clock_, chance_) {}

SimulatedCluster::~SimulatedCluster() {
  for (const std::weak_ptr<ControlLink>& one : connections_) {
    if (const LinkPointer link = one.lock()) link->forget_ends();
  }
}

Story SimulatedCluster::run() {
  // Longer than every limit after the last fault: silence, a fence without an answer, joining, a few starts anew.
  Duration quiet{};
  for (const Fault& fault : scenario_.faults) {
    quiet = std::max(quiet, fault.at + fault.lasts);
    clock_.after(fault.at, [this, fault] {
      if (!finished_) do_fault(fault);
    });
  }
  const TimePoint limit = clock_.now() + quiet + 600s;
  launch();
  try {
    while (story_.problem.empty() && !is_over()) {
      if (clock_.step(limit)) continue;
      story_.problem = "stuck";
      trace([&] { return describe(); });
    }
    story_.took = std::chrono::duration_cast<Duration>(clock_.now() - TimePoint{});
    if (story_.problem.empty()) check_end();
  } catch (const std::exception& error) {
    story_.problem = error.what();
  }
  if (!story_.problem.empty()) story_.problem += "\n" + describe();
  return story_;
}

// The result is told, and whoever can hear it has gone.
bool SimulatedCluster::is_over() const {
  if (!finished_ || finished_->outcome != runtime::RunOutcome::kSucceeded) return false;
  if (clock_.now() - finished_at_ > 120s) return true;
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const auto& it) { return !it.second->is_alive() || it.second->has_ended(); });
}

// ---- processes

void SimulatedCluster::launch() {
  ++story_.launches;
  finished_.reset();
  starts_.clear();
  left_out_.clear();
  ended_.clear();
  drained_.clear();
  numbers_ = scenario_.ranks;
  start_coordinator();
  for (runtime::Rank rank = 0; rank < scenario_.ranks; ++rank) start_rank(rank);
}

void SimulatedCluster::start_coordinator() {
  ++story_.terms;
  coordinator_ = std::make_shared<SimulatedCoordinator>(*this, story_.launches);
  coordinator_->start();
  for (const auto& [rank, host] : drained_) {
    coordinator_->obey([&](runtime::Coordinator& to, TimePoint now) { return to.on_drain({rank}, host, now); });
  }
  for (const runtime::Rank rank : left_out_) coordinator_->obey(leaving_out(rank));
  for (const auto& [rank, pid] : ended_) coordinator_->obey(ending(rank, pid));
}

void SimulatedCluster::start_rank(runtime::Rank rank) {
  ++starts_[rank];
  const auto process = std::make_shared<SimulatedRank>(*this, rank, ++last_pid_);
  ranks_[rank] = process;
  processes_[last_pid_] = process;
  trace([&] { return "start " + process->describe(); });
  process->start();
}

void SimulatedCluster::kill_coordinator() {
  if (!coordinator_->is_alive()) return;
  trace([] { return std::string("the coordinator dies"); });
  const std::shared_ptr<SimulatedCoordinator> dead = coordinator_;
  dead->die();
  const bool is_reset = chance_.one_in(2);
  for (const auto& [connection, link] : dead->links()) link->close_at_coordinator(is_reset);
  // Its supervisor reaps it; whoever has heard the result needs no other.
  if (finished_) return;
  clock_.after(chance_.between(10ms, 400ms), [this, dead] {
    if (coordinator_ == dead && !finished_) start_coordinator();
  });
}

void SimulatedCluster::kill_rank(SimulatedRank& rank, bool is_heard) {
  trace([&] { return (is_heard ? "kill " : "lose ") + rank.describe(); });
  rank.die();
  if (const LinkPointer link = rank.client().link()) {
    if (!is_heard) link->lose_ends();
    link->close_at_rank(chance_.one_in(3));
  }
  if (is_heard) rank_ended(rank);
}

// The launcher reaps it and starts another, with a pause that grows.
void SimulatedCluster::rank_ended(SimulatedRank& rank) {
  for (const auto& [number, other] : ranks_) {
    if (other.get() == &rank || !other->is_alive()) continue;
    clock_.at(network_.arrival(static_cast<Host>(rank.number()), static_cast<Host>(number)),
              [other = other, pid = rank.pid()] { other->run([other, pid] { other->lose_peer(pid); }); });
  }
  ended_[rank.number()] = rank.pid();
  control(ending(rank.number(), rank.pid()));
  const std::uint64_t starts = starts_[rank.number()];
  if (finished_ || !scenario_.ranks_return || drained_.contains(rank.number())) return;
  if (starts > 6) {
    left_out_.insert(rank.number());
    return control(leaving_out(rank.number()));
  }
  clock_.after(starts * chance_.between(50ms, 1s), [this, number = rank.number(), pid = rank.pid()] {
    if (!finished_ && ranks_.at(number)->pid() == pid && !drained_.contains(number)) start_rank(number);
  });
}

SimulatedRank* SimulatedCluster::living(runtime::Rank rank) {
  const auto found = ranks_.find(rank);
  const bool lives = found != ranks_.end() && found->second->is_alive() && !found->second->has_ended();
  return lives ? found->second.get() : nullptr;
}

// The run has ended and could go on: started again by the same command, on what is on the disk.
void SimulatedCluster::end_launch() {
  coordinator_->die();
  for (const auto& [connection, link] : coordinator_->links()) link->close_at_coordinator(true);
  for (const auto& [number, rank] : ranks_) {
    if (rank->is_alive()) kill_rank(*rank, true);
  }
  if (story_.launches > 20) {
    story_.problem = "started again and again: " + finished_->reason;
    return;
  }
  launch();
}

void SimulatedCluster::finished(const runtime::Finished& finished) {
  trace([&] { return "finished: " + finished.reason; });
  finished_ = finished;
  finished_at_ = clock_.now();
  if (finished.outcome == runtime::RunOutcome::kSucceeded) return;
  require(finished.outcome == runtime::RunOutcome::kStopped || is_end_for_lack_of_ranks(finished.reason),
          [&] { return "the run failed: " + finished.reason; });
  clock_.after(chance_.between(100ms, 5s), [this] { end_launch(); });
}

void SimulatedCluster::said(const std::string& line) {
  // Without a fault of the disk every checkpoint is written, unless a cut keeps the word of a shard past a limit.
  require(
      disk_has_failed_ || scenario_.progress_limit > 0us || line.find("no checkpoint was written") == std::string::npos,
      [&] { return line; });
}

// ---- what processes ask for

std::uint64_t SimulatedCluster::chunks() const {
  return runtime::ChunkSpace{scenario_.workload.elements}.count();
}
std::string SimulatedCluster::host_name_of(runtime::Rank rank) const {
  return "host-" + std::to_string(rank / scenario_.ranks_of_host);
}
Duration SimulatedCluster::time_to_compute(runtime::Rank) {
  return chance_.between(1ms, chance_.one_in(20) ? 40ms : 6ms);
}
Duration SimulatedCluster::time_to_load() {
  return chance_.between(5ms, chance_.one_in(4) ? 800ms : 100ms);
}
Duration SimulatedCluster::time_to_write() {
  if (clock_.now() < slow_disk_until_) return chance_.between(0us, 3s);
  return chance_.between(100us, chance_.one_in(4) ? 150ms : 10ms);
}

LinkPointer SimulatedCluster::connect(SimulatedRank& rank) {
  const auto host = static_cast<Host>(rank.number());
  if (!coordinator_->is_open() || coordinator_->is_stopped() || network_.is_cut(host, kCoordinatorHost) ||
      network_.is_cut(kCoordinatorHost, host)) {
    return nullptr;
  }
  const auto link =
      std::make_shared<ControlLink>(++last_connection_, host, ranks_.at(rank.number()), coordinator_, clock_, network_);
  connections_.push_back(link);
  coordinator_->opened(link);
  return link;
}

void SimulatedCluster::send_frame(SimulatedRank& from, const runtime::View& view, std::uint32_t to, std::uint32_t self,
                                  const Frame& frame) {
  const runtime::Member& member = view.members.at(to);
  TimePoint& last = last_frame_[{from.pid(), member.pid}];
  last = std::max(last, network_.arrival(static_cast<Host>(from.number()), static_cast<Host>(member.rank)));
  clock_.at(last, [process = processes_.at(member.pid), stamp = view.stamp, self, frame] {
    const std::shared_ptr<SimulatedRank> rank = process.lock();
    if (rank) rank->run([rank, stamp, self, frame] { rank->receive_frame(stamp, self, frame); });
  });
}

std::string SimulatedCluster::write_shard(SimulatedDisk::Staging folder, const std::string& name,
                                          const StateShard& shard) {
  if (clock_.now() < shards_fail_until_) return "the disk is full";
  disk_.staging[folder][name] = shard;
  return {};
}

std::string SimulatedCluster::publish(const runtime::Manifest& manifest, const std::vector<runtime::Shard>& shards) {
  if (clock_.now() < publishing_fails_until_) return "a shard has other bytes than were written";
  return disk_.publish(manifest, shards, chunks());
}

std::string SimulatedCluster::folder_of(std::uint64_t step) const {
  return "/run/checkpoints/" + runtime::checkpoint_name(step);
}

const std::map<std::uint64_t, ChunkState>* SimulatedCluster::checkpoint_in(const std::string& folder) const {
  const auto step = runtime::step_of_checkpoint(std::filesystem::path(folder).filename().string());
  const auto found = step ? disk_.checkpoints.find(*step) : disk_.checkpoints.end();
  return found == disk_.checkpoints.end() ? nullptr : &found->second.chunks;
}

// ---- faults

void SimulatedCluster::do_fault(const Fault& fault) {
  ++story_.faults;
  trace([&] { return runtime::say("fault: ", name_of(fault.what), " ", fault.who, ", ", fault.other); });
  SimulatedRank* rank = living(fault.who);
  const auto host = static_cast<Host>(fault.who);
  const LinkPointer link = rank != nullptr ? rank->client().link() : nullptr;
  switch (fault.what) {
    case Fault::What::kKillRank:
      if (rank != nullptr) kill_rank(*rank, true);
      break;
    case Fault::What::kCrashHost:
      if (rank == nullptr) break;
      kill_rank(*rank, false);
      // The launcher finds out some time later.
      clock_.after(chance_.between(1s, 10s), [this, dead = ranks_.at(fault.who)] { rank_ended(*dead); });
      break;
    case Fault::What::kStopRank:
      if (rank == nullptr || rank->is_stopped()) break;
      rank->stop();
      clock_.after(fault.lasts, [stopped = ranks_.at(fault.who)] { stopped->go_on(); });
      break;
    case Fault::What::kBreakConnection:
      if (link)
        rank->run([this, process = ranks_.at(fault.who)] { process->client().break_connection(chance_.one_in(2)); });
      break;
    case Fault::What::kLoseConnection:
      if (!link) break;
      link->lose_ends();
      rank->run([process = ranks_.at(fault.who)] { process->client().break_connection(true); });
      break;
    case Fault::What::kForgetConnection:
      if (!link || coordinator_->is_stopped()) break;
      link->lose_ends();
      link->close_at_coordinator(true);
      coordinator_->run([link, coordinator = coordinator_] { coordinator->closed(link); });
      break;
    case Fault::What::kCutControl:
      network_.cut(host, kCoordinatorHost, fault.lasts);
      network_.cut(kCoordinatorHost, host, fault.lasts);
      break;
    case Fault::What::kCutControlOneWay:
      if (fault.other % 2 == 1) {
        network_.cut(host, kCoordinatorHost, fault.lasts);
      } else {
        network_.cut(kCoordinatorHost, host, fault.lasts);
      }
      break;
    case Fault::What::kCutPeers: {
      const auto other = static_cast<Host>(fault.other % scenario_.ranks);
      network_.cut(host, other, fault.lasts);
      network_.cut(other, host, fault.lasts);
      break;
    }
    case Fault::What::kSlowNetwork:
      network_.slow_down(fault.lasts);
      break;
    case Fault::What::kKillCoordinator:
      if (coordinator_->is_stopped()) {
        kill_coordinator();
      } else {
        coordinator_->die_after(fault.other);
      }
      break;
    case Fault::What::kCrashCoordinator: {
      if (!coordinator_->is_alive()) break;
      kill_coordinator();
      disk_.lose_unforced(coordinator_->term(), chance_);
      has_crashed_ = true;
      break;
    }
    case Fault::What::kStopCoordinator:
      if (!coordinator_->is_alive() || coordinator_->is_stopped()) break;
      coordinator_->stop();
      clock_.after(fault.lasts, [stopped = coordinator_] { stopped->go_on(); });
      break;
    case Fault::What::kFailShards:
      shards_fail_until_ = clock_.now() + fault.lasts;
      disk_has_failed_ = true;
      break;
    case Fault::What::kFailPublishing:
      publishing_fails_until_ = clock_.now() + fault.lasts;
      disk_has_failed_ = true;
      break;
    case Fault::What::kSlowDisk:
      slow_disk_until_ = clock_.now() + fault.lasts;
      // A shard that does not come in time is given up.
      disk_has_failed_ = disk_has_failed_ || scenario_.progress_limit > 0us;
      break;
    case Fault::What::kDrainHost:
      drain_host_of(fault.who);
      break;
    case Fault::What::kInvite:
      invite();
      break;
    case Fault::What::kStopRun:
      coordinator_->run([coordinator = coordinator_] { coordinator->stop_run(); });
      break;
    case Fault::What::kCount:
      break;
  }
}

SimulatedCoordinator::Control SimulatedCluster::leaving_out(runtime::Rank rank) {
  return [rank](runtime::Coordinator& to, TimePoint now) {
    return to.on_left_out(rank, runtime::say("rank ", rank, " is left out"), now);
  };
}

SimulatedCoordinator::Control SimulatedCluster::ending(runtime::Rank rank, std::int64_t pid) {
  return [rank, pid](runtime::Coordinator& to, TimePoint now) {
    return to.on_rank_ended(rank, pid, "signal 9 (Killed)", now);
  };
}

// Another coordinator in its place is told at its start.
void SimulatedCluster::control(SimulatedCoordinator::Control line) {
  coordinator_->run([coordinator = coordinator_, line] { coordinator->obey(line); });
}

void SimulatedCluster::drain_host_of(runtime::Rank rank) {
  std::set<runtime::Rank> ranks;
  for (runtime::Rank one = 0; one < numbers_; ++one) {
    if (host_name_of(one) == host_name_of(rank)) ranks.insert(one);
  }
  if (!coordinator_->agrees_to_drain(ranks)) return;
  for (const runtime::Rank one : ranks) drained_.emplace(one, host_name_of(rank));
  control([ranks, host = host_name_of(rank)](runtime::Coordinator& to, TimePoint now) {
    return to.on_drain(ranks, host, now);
  });
}

// As the launcher does: ranks that were drained only when their processes have ended.
void SimulatedCluster::invite() {
  std::set<runtime::Rank> ranks;
  for (const auto& [rank, host] : drained_) {
    if (living(rank) == nullptr) ranks.insert(rank);
  }
  if (ranks.empty()) {
    if (numbers_ >= scenario_.ranks + 2) return;
    ranks.insert(static_cast<runtime::Rank>(numbers_++));
  }
  for (const runtime::Rank rank : ranks) drained_.erase(rank);
  control([ranks, numbers = numbers_](runtime::Coordinator& to, TimePoint now) {
    return to.on_invited(ranks, numbers, "a host", now);
  });
  for (const runtime::Rank rank : ranks) start_rank(rank);
}

Story simulate(const Scenario& scenario, SimulationOptions options) {
  return SimulatedCluster(scenario, options).run();
}

}  // namespace cadre::simulation
