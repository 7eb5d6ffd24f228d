// Starts lost ranks again: those whose process has ended, and those whose process lives and is not heard, which it
// kills. What a lost rank is comes from restart_policy.h and absences.h; who starts a process is the launcher.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "launch/absences.h"
#include "launch/child_process.h"
#include "launch/run_logs.h"

namespace cadre::launch {

class LostRanks {
 public:
  struct Callbacks {
    std::function<void(const std::string& host, std::uint32_t rank)> start;  // UserError, RunError: it cannot be
    std::function<void(std::uint32_t rank)> killed;                          // its process is; nobody else may say so
    std::function<void(std::uint32_t rank, const std::string& why)> left_out;
  };

  struct Limits {
    std::chrono::milliseconds silence{0};  // after which the coordinator loses a rank
    std::chrono::milliseconds restart{0};  // before a rank's first start anew
  };

  LostRanks(boost::asio::io_context& io, const Limits& limits, RunLogs& logs, Callbacks callbacks);
  LostRanks(const LostRanks&) = delete;
  LostRanks& operator=(const LostRanks&) = delete;

  // The rank's process, of this machine where `host` is empty, is past its MPI. One of another host is never killed
  // from here: mpirun ends an island as a whole.
  void started(const std::string& host, std::uint32_t rank, pid_t pid);
  void ended(std::uint32_t rank);
  // A line of the coordinator's. False: it tells of no rank's coming or going.
  bool take(const boost::json::object& report);
  void coordinator_began() { absences_.coordinator_began(std::chrono::steady_clock::now()); }

  // After some time, or never.
  void start_again(const std::string& host, std::uint32_t rank);
  // Whether an island of which a rank was killed in MPI may begin anew; counted.
  bool may_begin_anew(std::uint32_t first_rank);
  // A start is on its way.
  bool any_to_come() const { return to_come_ > 0; }

  // The run ends: nothing is started any more.
  void finish();
  bool is_absent(std::uint32_t rank) const { return absences_.is_absent(rank); }
  // Its process, of this machine, is there.
  bool is_alive(std::uint32_t rank) const { return processes_.contains(rank) && !is_gone(rank); }
  // Those of this machine that the coordinator does not hear.
  void kill_absent();

 private:
  void watch();
  bool kill(std::uint32_t rank);
  bool is_gone(std::uint32_t rank) const;

  boost::asio::io_context& io_;
  RunLogs& logs_;
  Callbacks callbacks_;
  std::chrono::milliseconds restart_;
  Absences absences_;
  boost::asio::steady_timer watch_;
  std::map<std::uint32_t, Descriptor> processes_;  // of this machine; a descriptor is never another process's
  std::set<std::uint32_t> gone_;                   // of them, when they were last looked at
  std::map<std::uint32_t, std::vector<std::chrono::steady_clock::time_point>> starts_;  // again
  std::vector<std::unique_ptr<boost::asio::steady_timer>> timers_;
  int to_come_ = 0;
  bool is_over_ = false;
};

}  // namespace cadre::launch
