// The coordinator's process: the real state machine in a shell as launch/coordinator_shell.h has it, with what the
// design promises checked at every effect.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "runtime/coordinator.h"
#include "tests/unit/runtime/simulation/simulated_network.h"

namespace cadre::simulation {

class SimulatedCluster;

class SimulatedCoordinator : public CoordinatorEnd {
 public:
  SimulatedCoordinator(SimulatedCluster& cluster, std::uint64_t launch);
  void start();
  void opened(const LinkPointer& link);
  void received(const LinkPointer& link, const runtime::MemberMessage& message) override;
  void closed(const LinkPointer& link) override;
  void stop_run();
  // What its launcher says of ranks that leave and come.
  using Control = std::function<runtime::Effects(runtime::Coordinator&, TimePoint)>;
  void obey(const Control& control);
  // Whether they may leave.
  bool agrees_to_drain(const std::set<runtime::Rank>& ranks) const;
  // Before its effect number `count` from now on. The entry that it is writing then may be torn.
  void die_after(std::uint64_t count) { dies_in_ = count; }
  bool is_open() const { return is_alive() && !has_exited_; }
  std::uint64_t term() const { return term_; }
  const std::map<runtime::Connection, LinkPointer>& links() const { return links_; }
  const runtime::Coordinator& machine() const { return *machine_; }

 private:
  runtime::CoordinatorOptions find_start();
  runtime::CoordinatorOptions::Start newest_checkpoint() const;  // an empty folder: there is none
  void tell_published(std::uint64_t step, const std::string& problem);
  void tick();
  void perform(runtime::Effects effects);
  void on(runtime::Tell& effect);
  void on(runtime::Close& effect);
  void on(runtime::Journal& effect);
  void on(runtime::Publish& effect);
  void on(runtime::GiveUpCheckpoint& effect);
  void on(runtime::FindCheckpoint& effect);
  void on(runtime::RemoveCheckpoint& effect);
  void on(runtime::Committed& effect);
  void on(runtime::EvaluationDone& effect);
  void on(runtime::RolledBack& effect);
  void on(runtime::Recovered& effect);
  void on(runtime::Say& effect);
  void on(runtime::Finished& effect);
  // The publisher's thread: one task after the other.
  void post(std::function<void()> task);
  void publish_next();

  SimulatedCluster& cluster_;
  std::uint64_t launch_, term_ = 0, start_step_ = 0;
  std::optional<runtime::Coordinator> machine_;
  std::map<runtime::Connection, LinkPointer> links_;  // open ones
  std::deque<std::function<void()>> tasks_;
  bool publishes_ = false, has_records_ = false, has_exited_ = false;
  std::optional<std::uint64_t> dies_in_;
  std::optional<std::uint64_t> expected_step_;  // of the next commit
};

}  // namespace cadre::simulation
