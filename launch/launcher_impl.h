// The launcher's insides; launcher.h says what it does. The run's course, with signals and the coordinator, is in
// launcher.cpp, islands and their ranks in launcher_islands.cpp.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "launch/coordinator_process.h"
#include "launch/island_process.h"
#include "launch/launcher.h"
#include "launch/listener.h"
#include "launch/lost_ranks.h"
#include "launch/membership.h"
#include "launch/mpirun_scratch.h"
#include "launch/run_logs.h"

namespace cadre::launch {

class Launcher::Impl {
 public:
  Impl(LaunchPlan plan, LaunchCallbacks callbacks);

  LaunchResult run();
  // The run cannot begin without those that are needed; who is invited and does not come is left out.
  enum class Island { kNeeded, kReturning, kInvited };
  void start_island(const IslandSpec& spec, std::uint32_t first_rank, Island kind);
  const std::vector<runtime::Endpoint>& endpoints() const { return endpoints_; }

 private:
  struct Seat {
    bool has(std::uint32_t rank) const { return rank - process->first_rank() < process->ranks(); }

    std::unique_ptr<IslandProcess> process;
    std::unique_ptr<boost::asio::steady_timer> boot_timer;
    Island kind = Island::kNeeded;
    bool is_over = false;
    bool begins_anew = false;            // when its mpirun has ended
    std::set<std::uint32_t> ended = {};  // of its ranks
  };

  void wait_for_signal();
  void wait_for_child();
  void take_signal(int number);
  void look_at_islands();
  void take_report(const boost::json::object& line);
  void rank_booted(Seat& seat, std::uint32_t rank, pid_t pid);
  void rank_ended(Seat& seat, std::uint32_t rank, const Ended& how);
  void rank_killed(std::uint32_t rank);
  void tell_ended(std::uint32_t rank, const std::string& how);
  std::vector<boost::json::object> news_for_another_coordinator() const;
  Membership::Callbacks membership_callbacks();
  void invite(IslandSpec spec, std::uint32_t first_rank);
  bool is_running(std::uint32_t rank) const;
  void start_again(const std::string& host, std::uint32_t rank);
  void lose(const Seat& seat, std::uint32_t rank);
  void leave_out(std::uint32_t rank, const std::string& why);
  void failed_to_start(Seat& seat, const std::string& why);
  bool begin_anew(Seat& seat, const std::string& why);
  bool is_ending() const { return coordinator_is_over_ || is_failing_ || is_at_once_ || signals_taken_ > 0; }
  void fail(const std::string& reason);
  void coordinator_ended(const AfterEnd& after);
  bool is_lost(const Seat& seat) const;
  void terminate_islands();
  void end_at_once();
  void leave_when_over();
  void after(std::chrono::milliseconds delay, void (Impl::*what)());
  void end_coordinator() { coordinator_.end_now(); }
  void kill_islands();
  void end_orphans();
  bool is_deserted() const;
  void desert();
  std::vector<pid_t> own_children() const;

  LaunchPlan plan_;
  LaunchCallbacks callbacks_;
  RunLogs logs_;
  MpirunScratch scratch_;
  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_{io_}, children_{io_};
  std::vector<std::unique_ptr<boost::asio::steady_timer>> timers_;
  std::vector<Listener> listeners_;
  std::vector<runtime::Endpoint> endpoints_;
  CoordinatorProcess coordinator_;
  LostRanks lost_ranks_;
  std::vector<IslandSpec> islands_by_host_;  // the plan's and those invited; this machine has one name
  std::unique_ptr<Membership> membership_;
  std::map<std::uint32_t, pid_t> processes_;            // of the ranks, the newest of each
  std::map<std::uint32_t, boost::json::object> ended_;  // what was said of the last that ended of each
  std::vector<std::unique_ptr<Seat>> seats_;
  LaunchResult result_;
  int to_come_ = 0;  // islands that are about to begin anew
  int signals_taken_ = 0;
  bool coordinator_is_over_ = false;
  bool is_failing_ = false;
  bool is_at_once_ = false;
};

}  // namespace cadre::launch
