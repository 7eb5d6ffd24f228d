// Hosts that leave and hosts that come while a run goes on: what the launcher does with requests of others
// (run_requests.h). Whether ranks may leave is the coordinator's word; who comes is told to it first.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launch/host_file.h"
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
    std::function<void(const std::string&)> warn;
  };

  // `run`: the run's folder; empty: nobody asks. RunError: the folder for requests cannot be made.
  Membership(boost::asio::io_context& io, const std::filesystem::path& run, const std::vector<IslandSpec>& islands,
             bool has_host_file, Callbacks callbacks);

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

  struct Lookup;

  static boost::json::object line_of(const std::string& id, const Drain& drain);
  void look();
  void look_at_host_file();
  static std::shared_ptr<Lookup> look_up(const std::string& host);
  // So many ranks on this host in all.
  void grow(const IslandSpec& to);
  void take(const RequestBox::Asked& asked);
  void drain(const RequestBox::Asked& asked);
  // UserError: why none may come.
  RankNumbers join(const std::string& host, std::uint32_t ranks);
  void refuse(const RequestBox::Asked& asked, const std::string& problem);

  Callbacks callbacks_;
  HostRanks hosts_;
  std::unique_ptr<RequestBox> box_;
  std::unique_ptr<HostFile> host_file_;
  std::deque<IslandSpec> wanted_;   // by it
  std::shared_ptr<Lookup> lookup_;  // of the first of them
  boost::asio::steady_timer timer_;
  std::map<std::string, Drain> drains_;  // under way, by request
};

}  // namespace cadre::launch
