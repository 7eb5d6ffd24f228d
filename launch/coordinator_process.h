// The coordinator's process as its supervisor sees it: started, told what happens, and started again with the next
// term when a signal ends it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launch/listener.h"
#include "launch/pipes.h"
#include "launch/run_logs.h"

namespace cadre::launch {

// What a supervisor does when its coordinator has ended.
struct AfterEnd {
  bool starts_again = false;
  int exit_code = 0;        // where it does not
  std::string reason = {};  // where the supervisor ends the run
};

struct CoordinatorLife {
  Ended ended = {};
  bool has_result = false;
  std::chrono::milliseconds lived{0};
  int short_lives = 0;  // that ended by a signal just before this one, each sooner than kShortLife
};

inline constexpr std::chrono::milliseconds kShortLife{2000};
inline constexpr int kMaxShortLives = 3;
// From the coordinator's first word that it is alive, which comes each second, to its end for saying nothing any more:
// it was stopped, or hangs. Longer than a disk makes a healthy one wait, shorter than the ranks do.
inline constexpr std::chrono::milliseconds kCoordinatorSilence{12'000};

AfterEnd after_coordinator_ended(const CoordinatorLife& life);

class CoordinatorProcess {
 public:
  struct Options {
    std::vector<std::string> command = {};
    std::vector<std::pair<std::string, std::string>> environment = {};
    std::function<std::string(std::uint64_t term)> boot_message;
    // Control lines that each incarnation is given at its start, beside the repeated ones.
    std::function<std::vector<boost::json::object>()> first_lines = [] { return std::vector<boost::json::object>(); };
    std::chrono::milliseconds silence = kCoordinatorSilence;
  };
  struct Callbacks {
    std::function<void(const boost::json::object&)> report;
    std::function<void(const AfterEnd&)> ended;  // for good
  };

  CoordinatorProcess(boost::asio::io_context& io, Options options, const std::vector<Listener>& listeners,
                     RunLogs& logs, Callbacks callbacks);
  CoordinatorProcess(const CoordinatorProcess&) = delete;
  CoordinatorProcess& operator=(const CoordinatorProcess&) = delete;

  void start();
  // One of the control lines; also to later incarnations where `is_repeated`.
  void control(const boost::json::object& line, bool is_repeated = false);
  // Ends it at once; it is not started again.
  void end_now();
  // To call when a child may have ended.
  void look();
  bool is_live() const { return process_ && !process_->ended(); }
  std::vector<pid_t> pids() const;
  const boost::json::object& result() const { return result_; }

 private:
  void take_report(const std::string& line);
  void watch();

  boost::asio::io_context& io_;
  Options options_;
  const std::vector<Listener>& listeners_;
  RunLogs& logs_;
  Callbacks callbacks_;
  std::uint64_t term_ = 0;
  int short_lives_ = 0;
  bool is_final_ = false;
  bool starts_again_ = true;
  std::chrono::steady_clock::time_point started_;
  boost::asio::steady_timer watch_;
  std::optional<std::chrono::steady_clock::time_point> heard_;  // since it says that it is alive
  std::optional<ChildProcess> process_;
  std::unique_ptr<PipeWriter> control_;
  std::unique_ptr<PipeReader> report_;
  LineCutter report_lines_;
  std::string repeated_;
  boost::json::object result_;
};

}  // namespace cadre::launch
