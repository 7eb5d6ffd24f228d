// Starts the processes of a run, watches them and ends with its result: the coordinator, then the islands. It decides
// nothing about training.
//
// The coordinator's process gets, after its command's words, `--listen_fds 5,6 --report_fd 7`, and
//   stdin       its boot message on the first line, then a line of JSON for each Control below; the end of stdin means
//               that the launcher is gone: the run must end
//   report_fd   takes its lines of JSON: {"result": {...}} says how the run ended, {"alive": true} comes each second
//               (after the first, one that is silent for long is killed), {"rank_joined": 3} and
//               {"rank_lost": 3, "was_member": true} tell who is with it, any other goes to on_report
//   exit code   the run's, as exit_code.h has them. One that is ended by a signal, without a result, is started again
//               with the next term and the same sockets
//   stderr      logs/coordinator.log
// A rank's process gets its Boot by boot_from_stdin(); what it writes goes to logs/rank-NNNNN.log. It must end when the
// coordinator is gone and nobody listens on its endpoints any more.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launch/boot.h"
#include "launch/restart_policy.h"

namespace cadre::launch {

struct IslandSpec {
  std::string host = {};  // empty, or a name of this machine: no ssh
  std::uint32_t ranks = 1;
};

struct LaunchLimits {
  std::chrono::milliseconds boot{60'000};    // from the start of an island to the end of its MPI
  std::chrono::milliseconds silence{3'000};  // after which the coordinator loses a rank
  std::chrono::milliseconds restart = kFirstRestartDelay;
  std::chrono::milliseconds drain{15'000};     // from the coordinator's end to the ranks'
  std::chrono::milliseconds terminate{7'000};  // from mpirun's SIGTERM (it kills its ranks within 5 s) to SIGKILL
  std::chrono::milliseconds fail{5'000};       // that the coordinator has to record why the run fails
  std::chrono::milliseconds deserted{60'000};  // that the coordinator may live on when no rank's process does
};

struct LaunchPlan {
  std::vector<IslandSpec> islands = {};
  std::vector<std::string> other_hosts = {};  // of ranks that others start, such as a user's own mpirun
  std::vector<std::string> coordinator = {};  // command
  std::vector<std::string> rank = {};         // command; an absolute path first, the same on every host
  std::vector<std::pair<std::string, std::string>> environment = {};  // of coordinator and ranks, never a secret
  std::filesystem::path logs = {};
  std::filesystem::path requests = {};  // the run's folder, where `cadre drain` and `cadre join` ask; empty: nobody may
  bool has_host_file = false;           // RUN/hosts, through which it grows too
  LaunchLimits limits = {};
};

// Control lines to the coordinator, each an object with "control":
//   {"control": "stop", "reason": "SIGTERM"}             checkpoint, then end
//   {"control": "fail", "reason": "..."}                 record that the run failed, and end
//   {"control": "rank_ended", "rank": 3, "pid": 4711, "how": "signal 9 (Killed)"}
//   {"control": "left_out", "rank": 3, "reason": "..."}  it is not started again
//   {"control": "drain", "id": "...", "host": "b", "ranks": [2, 3]}   may they leave? answered by the report
//                                                        {"drain": {"id": "...", "problem": "..."}}; without "id" the
//                                                        coordinator before has agreed
//   {"control": "invited", "host": "b", "ranks": [2, 3], "numbers": 4}   they are started (again)

struct LaunchCallbacks {
  // The boot message of the coordinator's incarnation `term`, from 1: one line. `numbers`: of ranks, by now.
  std::function<std::string(std::uint64_t term, const std::vector<runtime::Endpoint>& listening, std::uint32_t numbers)>
      coordinator_boot;
  std::function<Boot(std::uint32_t island, std::uint32_t first_rank, const std::vector<runtime::Endpoint>&)> rank_boot;
  std::function<void(const boost::json::object&)> on_report = [](const auto&) {};
  // The names that the ranks' machines have for themselves, as far as they have said them.
  std::function<std::map<std::uint32_t, std::string>()> hosts_of_ranks = [] {
    return std::map<std::uint32_t, std::string>();
  };
};

struct LaunchResult {
  int exit_code = 0;
  std::string reason = {};          // why, when the launcher itself ended the run; else empty
  boost::json::object result = {};  // the coordinator's; empty when it has not said any
};

class Launcher {
 public:
  // Binds the coordinator's sockets. UserError: no ranks, a host that cannot be reached, a program that is missing.
  Launcher(LaunchPlan plan, LaunchCallbacks callbacks);
  ~Launcher();

  const std::vector<runtime::Endpoint>& listening() const;

  // Runs to the end and leaves no process behind. The first SIGTERM or SIGINT asks the coordinator to stop, the second
  // ends everything at once. Both have their default action afterwards.
  LaunchResult run();

  // From a callback: one more island, such as a lost rank's. That it fails to start fails no run.
  void start_island(const IslandSpec& island, std::uint32_t first_rank);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cadre::launch
