#include "tests/unit/runtime/simulation/simulated_coordinator.h"

#include <bit>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "tests/unit/runtime/simulation/simulated_cluster.h"

namespace cadre::simulation {

using namespace std::chrono_literals;

SimulatedCoordinator::SimulatedCoordinator(SimulatedCluster& cluster, std::uint64_t launch)
    : CoordinatorEnd(cluster.clock()), cluster_(cluster), launch_(launch) {}

void SimulatedCoordinator::start() {
  machine_.emplace(find_start(), clock_.now());
  tick();
}

void SimulatedCoordinator::obey(const Control& control) {
  if (is_open() && !machine_->finished()) perform(control(*machine_, clock_.now()));
}

bool SimulatedCoordinator::agrees_to_drain(const std::set<runtime::Rank>& ranks) const {
  return is_open() && !is_stopped() && !machine_->finished() && machine_->why_not_drain(ranks).empty();
}

runtime::CoordinatorOptions SimulatedCoordinator::find_start() {
  SimulatedDisk& disk = cluster_.disk();
  disk.staging.clear();
  runtime::CoordinatorOptions options{.run_id = "a run",
                                      .expected_ranks = cluster_.scenario().ranks,
                                      .min_ranks = cluster_.scenario().min_ranks,
                                      .numbers = cluster_.numbers(),
                                      .policy = cluster_.scenario().policy,
                                      .logging_steps = 3,
                                      .join_limit = 60s,
                                      .keep_state = true,
                                      .launch = "launch " + std::to_string(launch_),
                                      .checkpoints = "/run/checkpoints"};
  options.rejoin_wait = std::chrono::duration_cast<std::chrono::milliseconds>(cluster_.scenario().rejoin_wait);
  options.progress_limit = std::chrono::duration_cast<std::chrono::milliseconds>(cluster_.scenario().progress_limit);
  for (const auto& [step, checkpoint] : disk.checkpoints) options.published.insert(step);
  const runtime::TermHistory history = disk.history();
  options.last_view = history.view;
  options.last_generation = history.generation;
  options.incarnations = history.incarnations;
  if (history.launch == options.launch) {
    options.awaited = history.members;
    options.before = history;
    options.end = history.end;
  }
  options.term = term_ = history.last_term + 1;
  options.start = newest_checkpoint();
  start_step_ = options.start.manifest.step;
  if (history.launch != options.launch && history.committed > start_step_) ++options.last_generation;
  cluster_.trace([&] { return runtime::say("coordinator of term ", term_, ", from step ", start_step_); });
  return options;
}

runtime::CoordinatorOptions::Start SimulatedCoordinator::newest_checkpoint() const {
  const auto& checkpoints = cluster_.disk().checkpoints;
  if (checkpoints.empty()) return {};
  const auto& [step, checkpoint] = *checkpoints.rbegin();
  return {.folder = cluster_.folder_of(step), .manifest = checkpoint.manifest};
}

void SimulatedCoordinator::tick() {
  after(250ms, [this] {
    if (machine_->finished() || has_exited_) return;
    perform(machine_->on_tick(clock_.now()));
    tick();
  });
}

void SimulatedCoordinator::opened(const LinkPointer& link) {
  links_.emplace(link->id(), link);
}

void SimulatedCoordinator::received(const LinkPointer& link, const runtime::MemberMessage& message) {
  if (has_exited_) return;
  if (std::holds_alternative<runtime::Heartbeat>(message)) {
    link->answer_beat();
  } else {
    cluster_.trace([&] { return runtime::say("  ", cluster_.describe(*link, message)); });
  }
  const bool comes = std::holds_alternative<runtime::Rejoin>(message) || std::holds_alternative<runtime::Join>(message);
  if (machine_->finished() && comes) {
    link->tell(runtime::Refused{"the run has ended"});
    link->close_at_coordinator();
    links_.erase(link->id());
    return;
  }
  perform(machine_->on_message(link->id(), message, clock_.now()));
}

void SimulatedCoordinator::closed(const LinkPointer& link) {
  links_.erase(link->id());
  if (has_exited_) return;
  if (machine_->finished()) {
    has_exited_ = links_.empty();
    return;
  }
  perform(machine_->on_closed(link->id(), "the connection was closed", clock_.now()));
}

void SimulatedCoordinator::stop_run() {
  if (machine_->finished() || has_exited_) return;
  perform(machine_->on_stop("signal 15", clock_.now()));
}

void SimulatedCoordinator::perform(runtime::Effects effects) {
  for (runtime::Effect& effect : effects) {
    if (dies_in_ && (*dies_in_)-- == 0) {
      const auto* journal = std::get_if<runtime::Journal>(&effect);
      const bool is_whole = journal != nullptr && cluster_.disk().tear(term_, journal->entry, cluster_.chance());
      if (is_whole && journal->entry.at("event").as_string() == "commit") cluster_.check_commit(journal->entry);
      return cluster_.kill_coordinator();
    }
    std::visit([this](auto& it) { on(it); }, effect);
  }
}

void SimulatedCoordinator::on(runtime::Tell& effect) {
  if (std::holds_alternative<runtime::NewView>(effect.message) && !std::exchange(has_records_, true)) {
    cluster_.disk().forget_after(start_step_);
    expected_step_ = start_step_ + 1;
  }
  if (const auto* commit = std::get_if<runtime::Commit>(&effect.message)) {
    cluster_.require(cluster_.is_journaled(commit->stamp.generation, commit->step + 1), [&] {
      return runtime::say("step ", commit->step + 1, " is told as committed, and is in no journal");
    });
  }
  if (std::holds_alternative<runtime::NewView>(effect.message)) ++cluster_.story().views;
  for (const runtime::Connection to : effect.to) {
    const auto link = links_.find(to);
    cluster_.trace([&] { return runtime::say("  → ", to, ": ", cluster_.describe(effect.message)); });
    if (link != links_.end()) link->second->tell(effect.message);
  }
}

void SimulatedCoordinator::on(runtime::Close& effect) {
  const auto link = links_.find(effect.connection);
  if (link == links_.end()) return;
  link->second->close_at_coordinator();
  links_.erase(link);
}

void SimulatedCoordinator::on(runtime::Journal& effect) {
  cluster_.disk().append(term_, effect.entry, effect.durability);
  if (effect.for_people) cluster_.disk().add_event(term_, runtime::json_line(effect.entry));
  const auto& entry = effect.entry;
  cluster_.trace([&] {
    return runtime::say("  journal: ", std::string(entry.at("event").as_string()), " step ",
                        entry.at("step").to_number<std::uint64_t>(), ", ", std::string(entry.at("reason").as_string()));
  });
  if (entry.at("event").as_string() == "commit") cluster_.check_commit(entry);
}

void SimulatedCoordinator::post(std::function<void()> task) {
  tasks_.push_back(std::move(task));
  if (!std::exchange(publishes_, true)) publish_next();
}

void SimulatedCoordinator::publish_next() {
  after(cluster_.time_to_write(), [this] {
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    // A process may die between a checkpoint's appearing and the word of it.
    publishes_ = !tasks_.empty();
    if (publishes_) publish_next();
  });
}

void SimulatedCoordinator::on(runtime::Publish& effect) {
  post([this, effect] {
    const std::uint64_t step = effect.manifest.step;
    const std::string problem = cluster_.publish(effect.manifest, effect.shards);
    cluster_.trace([&] { return runtime::say("  published step ", step, " ", problem); });
    tell_published(step, problem);
  });
}

void SimulatedCoordinator::tell_published(std::uint64_t step, const std::string& problem) {
  after(1ms, [this, step, problem] {
    if (!has_exited_) perform(machine_->on_checkpoint_published(step, problem, clock_.now()));
  });
}

void SimulatedCoordinator::on(runtime::GiveUpCheckpoint& effect) {
  const SimulatedDisk::Staging folder{effect.step, {.generation = effect.stamp.generation, .view = effect.stamp.view}};
  post([this, folder, problem = effect.problem] {
    cluster_.disk().staging.erase(folder);
    if (!problem.empty()) tell_published(folder.first, problem);
  });
}

void SimulatedCoordinator::on(runtime::FindCheckpoint&) {
  post([this] {
    after(1ms, [this, found = newest_checkpoint()] {
      if (!has_exited_) perform(machine_->on_checkpoint_found(found, clock_.now()));
    });
  });
}

void SimulatedCoordinator::on(runtime::RemoveCheckpoint& effect) {
  post([this, step = effect.step] { cluster_.disk().checkpoints.erase(step); });
}

void SimulatedCoordinator::on(runtime::Committed& effect) {
  ++cluster_.story().commits;
  cluster_.require(expected_step_ == effect.step, [&] {
    return runtime::say("step ", effect.step, " is committed where ", expected_step_.value_or(0), " comes next");
  });
  expected_step_ = effect.step + 1;
  cluster_.check_ledger(effect);
  cluster_.disk().record(effect);
}

void SimulatedCoordinator::on(runtime::EvaluationDone& effect) {
  cluster_.require(effect.loss == cluster_.trajectory().points.at(effect.step).evaluation,
                   [&] { return runtime::say("the validation loss of step ", effect.step, " is ", effect.loss); });
}

void SimulatedCoordinator::on(runtime::RolledBack& effect) {
  ++cluster_.story().rollbacks;
  expected_step_ = effect.step + 1;
  cluster_.disk().forget_after(effect.step);
}

void SimulatedCoordinator::on(runtime::Recovered& effect) {
  ++cluster_.story().recoveries;
  has_records_ = true;
  expected_step_ = effect.kept + 1;
  cluster_.disk().forget_after(effect.kept);
}

void SimulatedCoordinator::on(runtime::Say& effect) {
  cluster_.trace([&] { return "  says: " + effect.line; });
  cluster_.said(effect.line);
}

void SimulatedCoordinator::on(runtime::Finished& effect) {
  has_exited_ = links_.empty();
  after(3s, [this] { has_exited_ = true; });
  cluster_.finished(effect);
}

}  // namespace cadre::simulation
