// Hosts that leave and hosts that come while a run goes on: what the launcher does with requests of others
// (run_requests.h). Whether ranks may leave is the coordinator's word; who comes is told to it first.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launch/host_ranks.h"
#include "launch/run_requests.h"

namespace cadre::launch {

// On the launcher's thread.
class Membership {
 public:
  struct Callbacks {
    std::function<void(const boost::json::object&)> control;  // a line to the coordinator
    std::function<std::map<std::uint32_t, std::string>()> hosts_of_ranks;
    // Starts an island. UserError: it cannot be started.
    std::function<void(const IslandSpec&, std::uint32_t first_rank)> start;
    std::function<bool(std::uint32_t rank)> is_running;
    std::function<std::string()> why_nobody_may;                         // empty: the run takes requests
    std::function<std::string(const std::string& host)> why_not_joined;  // of another machine
  };

  // `run`: the run's folder; empty: nobody asks. RunError: the folder for requests cannot be made.
  Membership(boost::asio::io_context& io, const std::filesystem::path& run, const std::vector<IslandSpec>& islands,
             Callbacks callbacks);

  std::uint32_t numbers() const { return hosts_.numbers(); }
  // What a coordinator that takes the place of another must hear, as control lines.
  std::vector<boost::json::object> drains() const;
  // Lost or ended, it is not started again.
  bool is_drained(std::uint32_t rank) const { return hosts_.is_drained(rank); }
  // A line of the coordinator's. False: it is no answer to a drain.
  bool take(const boost::json::object& report);
  void rank_ended();
  // No request is taken or answered any more.
  void end();

 private:
  struct Drain {
    std::string host = {};
    RankNumbers ranks = {};
    bool is_agreed = false;
  };

  static boost::json::object line_of(const std::string& id, const Drain& drain);
  void look();
  void take(const RequestBox::Asked& asked);
  void drain(const RequestBox::Asked& asked);
  void join(const RequestBox::Asked& asked);
  void refuse(const RequestBox::Asked& asked, const std::string& problem);

  Callbacks callbacks_;
  HostRanks hosts_;
  std::unique_ptr<RequestBox> box_;
  boost::asio::steady_timer timer_;
  std::map<std::string, Drain> drains_;  // under way, by request
};

}  // namespace cadre::launch
