// A whole run in one thread: coordinator, ranks, launcher, network, disk, and faults from a scenario. What the design
// promises is checked on the way and at the end; the first thing that does not hold ends it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "tests/unit/runtime/simulation/scenario.h"
#include "tests/unit/runtime/simulation/simulated_coordinator.h"
#include "tests/unit/runtime/simulation/simulated_disk.h"
#include "tests/unit/runtime/simulation/simulated_rank.h"

namespace cadre::simulation {

// What came of it.
struct Story {
  std::string problem = {};  // empty: all that was promised held
  std::uint64_t commits = 0, rollbacks = 0, recoveries = 0, views = 0, terms = 0, launches = 0, faults = 0;
  Duration took{};  // of simulated time
};

struct SimulationOptions {
  bool traces = false;  // to stderr
  bool proves = false;  // the records, as `cadre verify` does: files are written
};

class SimulatedCluster {
 public:
  SimulatedCluster(Scenario scenario, SimulationOptions options);
  ~SimulatedCluster();

  Story run();

  // ---- for the processes
  SimulatedClock& clock() { return clock_; }
  Chance& chance() { return chance_; }
  SimulatedDisk& disk() { return disk_; }
  Story& story() { return story_; }
  bool has_finished() const { return finished_.has_value(); }
  const Scenario& scenario() const { return scenario_; }
  const runtime::Workload& workload() const { return scenario_.workload; }
  const Trajectory& trajectory() const { return trajectory_; }
  std::uint64_t chunks() const;
  std::size_t numbers() const { return numbers_; }  // of ranks, with those invited
  std::string host_name_of(runtime::Rank rank) const;
  Duration time_to_compute(runtime::Rank rank);
  Duration time_to_load();
  Duration time_to_write();

  LinkPointer connect(SimulatedRank& rank);
  void send_frame(SimulatedRank& from, const runtime::View& view, std::uint32_t to, std::uint32_t self,
                  const Frame& frame);
  void rank_ended(SimulatedRank& rank);
  std::string write_shard(SimulatedDisk::Staging folder, const std::string& name, const StateShard& shard);
  std::string publish(const runtime::Manifest& manifest, const std::vector<runtime::Shard>& shards);
  const std::map<std::uint64_t, ChunkState>* checkpoint_in(const std::string& folder) const;
  std::string folder_of(std::uint64_t step) const;
  void kill_coordinator();
  void finished(const runtime::Finished& finished);
  void said(const std::string& line);

  // ---- what must hold
  void require(bool holds, const std::function<std::string()>& problem);
  void computed(const SimulatedRank& rank, std::uint64_t step, std::uint32_t micro_batch, std::uint64_t view);
  void check_commit(const boost::json::object& entry);
  bool is_journaled(std::uint64_t generation, std::uint64_t step) const {
    return journaled_.contains({generation, step});
  }
  void check_ledger(const runtime::Committed& commit);

  void trace(const std::function<std::string()>& line);
  std::string describe(const ControlLink& link, const runtime::MemberMessage& message) const;
  std::string describe(const runtime::CoordinatorMessage& message) const;

 private:
  void launch();
  void start_rank(runtime::Rank rank);
  void start_coordinator();
  void kill_rank(SimulatedRank& rank, bool is_heard);
  void end_launch();
  void do_fault(const Fault& fault);
  void drain_host_of(runtime::Rank rank);
  void invite();
  static SimulatedCoordinator::Control leaving_out(runtime::Rank rank);
  static SimulatedCoordinator::Control ending(runtime::Rank rank, std::int64_t pid);
  void control(SimulatedCoordinator::Control line);
  SimulatedRank* living(runtime::Rank rank);
  void check_end();
  void check_records();
  bool is_over() const;
  std::string describe() const;

  Scenario scenario_;
  SimulationOptions options_;
  Trajectory trajectory_;
  SimulatedClock clock_;
  Chance chance_;
  SimulatedNetwork network_;
  SimulatedDisk disk_;
  Story story_;
  std::shared_ptr<SimulatedCoordinator> coordinator_;
  std::map<runtime::Rank, std::shared_ptr<SimulatedRank>> ranks_;  // the newest process of each
  std::map<std::int64_t, std::weak_ptr<SimulatedRank>> processes_;
  std::vector<std::weak_ptr<ControlLink>> connections_;
  std::map<std::pair<std::int64_t, std::int64_t>, TimePoint> last_frame_;
  std::map<runtime::Rank, std::uint64_t> starts_;  // of this launch
  std::set<runtime::Rank> left_out_;               // likewise
  std::map<runtime::Rank, std::int64_t> ended_;    // the last process that did, of each
  std::map<runtime::Rank, std::string> drained_;   // and of which host
  std::size_t numbers_ = 0;
  std::int64_t last_pid_ = 0;
  runtime::Connection last_connection_ = 0;
  std::optional<runtime::Finished> finished_;
  TimePoint finished_at_{};
  TimePoint slow_disk_until_{}, shards_fail_until_{}, publishing_fails_until_{};
  bool disk_has_failed_ = false, has_crashed_ = false;

  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> journaled_;  // by generation and step
  std::set<std::tuple<std::uint64_t, std::uint32_t, runtime::Rank, std::uint64_t>> computed_;
};

Story simulate(const Scenario& scenario, SimulationOptions options = {});

}  // namespace cadre::simulation
