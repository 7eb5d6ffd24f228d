// Processes and what joins them: control connections (ordered, whole or ended; an end may go unnoticed on the other
// side) and how long a packet takes between two hosts. Links are independent of each other, so that messages of
// different ones overtake each other.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "runtime/connection.h"
#include "runtime/messages.h"
#include "tests/unit/runtime/simulation/simulated_clock.h"

namespace cadre::simulation {

using Host = int;  // a rank's number
inline constexpr Host kCoordinatorHost = -1;

// What happens in a process waits while it is stopped, and does not happen once it is dead.
class Process : public std::enable_shared_from_this<Process> {
 public:
  explicit Process(SimulatedClock& clock) : clock_(clock) {}
  virtual ~Process() = default;

  void run(std::function<void()> action);
  void after(Duration delay, std::function<void()> action);
  void stop() { is_stopped_ = true; }
  void go_on();
  void die() { is_alive_ = false, waiting_.clear(); }
  bool is_alive() const { return is_alive_; }
  bool is_stopped() const { return is_stopped_; }

 protected:
  SimulatedClock& clock_;

 private:
  bool is_alive_ = true, is_stopped_ = false;
  std::deque<std::function<void()>> waiting_;
};

class SimulatedNetwork {
 public:
  SimulatedNetwork(SimulatedClock& clock, Chance& chance) : clock_(clock), chance_(chance) {}

  void cut(Host from, Host to, Duration lasts) { cut_until_[{from, to}] = clock_.now() + lasts; }
  void slow_down(Duration lasts) { slow_until_ = clock_.now() + lasts; }
  bool is_cut(Host from, Host to) const;
  // Of a packet that is sent now. What meets a cut is sent again until it has passed.
  TimePoint arrival(Host from, Host to);

 private:
  SimulatedClock& clock_;
  Chance& chance_;
  std::map<std::pair<Host, Host>, TimePoint> cut_until_;
  TimePoint slow_until_{};
};

class ControlLink;
using LinkPointer = std::shared_ptr<ControlLink>;

// The two ends of a control connection.
class RankEnd : public Process {
 public:
  using Process::Process;
  virtual void received(const LinkPointer& link, const runtime::CoordinatorMessage& message) = 0;
  virtual void beat_answered(const LinkPointer& link) = 0;
  virtual void closed(const LinkPointer& link) = 0;
};
class CoordinatorEnd : public Process {
 public:
  using Process::Process;
  virtual void received(const LinkPointer& link, const runtime::MemberMessage& message) = 0;
  virtual void closed(const LinkPointer& link) = 0;
};

class ControlLink : public std::enable_shared_from_this<ControlLink> {
 public:
  ControlLink(runtime::Connection id, Host host, std::shared_ptr<RankEnd> rank,
              std::shared_ptr<CoordinatorEnd> coordinator, SimulatedClock& clock, SimulatedNetwork& network)
      : id_(id),
        host_(host),
        rank_(std::move(rank)),
        coordinator_(std::move(coordinator)),
        clock_(clock),
        network_(network) {}

  runtime::Connection id() const { return id_; }
  const std::shared_ptr<RankEnd>& rank() const { return rank_; }
  const std::shared_ptr<CoordinatorEnd>& coordinator() const { return coordinator_; }
  bool is_open_at_rank() const { return open_at_rank_; }
  bool is_open_at_coordinator() const { return open_at_coordinator_; }

  void send(runtime::MemberMessage message);
  void tell(runtime::CoordinatorMessage message);
  void answer_beat();
  // What was sent before still arrives, unless it `is_reset`.
  void close_at_rank(bool is_reset = false);
  void close_at_coordinator(bool is_reset = false);
  // From now on neither side notices that the other has closed.
  void lose_ends() { loses_ends_ = true; }
  // At the end of a simulation: they hold this connection too.
  void forget_ends();

 private:
  void up(std::function<void()> action);
  void down(std::function<void()> action);

  runtime::Connection id_;
  Host host_;
  std::shared_ptr<RankEnd> rank_;
  std::shared_ptr<CoordinatorEnd> coordinator_;
  SimulatedClock& clock_;
  SimulatedNetwork& network_;
  bool open_at_rank_ = true, open_at_coordinator_ = true, loses_ends_ = false;
  bool reset_by_rank_ = false, reset_by_coordinator_ = false;
  TimePoint last_up_{}, last_down_{};
};

}  // namespace cadre::simulation
