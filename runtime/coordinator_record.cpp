// The end of a run, and what is written down of its course.
#include <algorithm>

#include "runtime/coordinator_machine.h"

namespace cadre::runtime {

void Coordinator::Machine::fail(const std::string& reason, RunOutcome outcome) {
  finish({outcome, reason, course_.done, {}, {}});
}

void Coordinator::Machine::finish(Finished finished) {
  if (this->finished()) return;
  phase_ = Phase::kFinished;
  const bool succeeded = finished.outcome == RunOutcome::kSucceeded;
  const bool stopped = finished.outcome == RunOutcome::kStopped;
  boost::json::object files;
  for (const auto& [name, hash] : finished.result_sha256) files[name] = hash;
  journal(succeeded ? "succeeded"
          : stopped ? "stopped"
                    : "failed",
          finished.reason,
          {{"step", finished.step},
           {"of", finished.result_of},
           {"sha256", std::move(files)},
           {"user_can_mend", finished.outcome == RunOutcome::kUserError}});
  if (stopped) say(runtime::say("stopped after step ", finished.step, "; the same command goes on from here"));
  std::vector<Connection> in_view, others;
  for (const auto& [connection, peer] : roll_.peers()) {
    (peer.is == Peer::Is::kMember ? in_view : others).push_back(connection);
  }
  std::sort(in_view.begin(), in_view.end());
  std::sort(others.begin(), others.end());
  if (!in_view.empty()) {
    const Order end{.kind = Order::Kind::kEnd, .step = course_.done, .reason = finished.reason};
    effects_.push_back(Tell{std::move(in_view), Proceed{stamp_, end}});
  }
  if (!others.empty()) effects_.push_back(Tell{std::move(others), Refused{"the run has ended: " + finished.reason}});
  effects_.push_back(std::move(finished));
}

void Coordinator::Machine::journal(std::string event, std::string reason, boost::json::object more,
                                   Durability durability, bool for_people) {
  boost::json::object entry{{"event", std::move(event)},
                            {"step", course_.done},
                            {"reason", std::move(reason)},
                            {"generation", stamp_.generation},
                            {"view", stamp_.view}};
  for (auto& [key, value] : more) entry.insert_or_assign(key, std::move(value));
  effects_.push_back(Journal{std::move(entry), durability, for_people});
}

void Coordinator::Machine::journal_start() {
  if (std::exchange(started_, true)) return;
  journal("term", "a coordinator begins",
          {{"run_id", options_.run_id}, {"launch", options_.launch}, {"term", options_.term}}, Durability::kDisk,
          false);
  if (options_.end) {
    phase_ = Phase::kFinished;
    effects_.push_back(*options_.end);
    return;
  }
  const boost::json::object self{
      {"term", options_.term}, {"starts", options_.starts}, {"host", options_.host}, {"pid", options_.pid}};
  if (newest_folder_.empty()) {
    journal("started", "no checkpoint to go on from", self);
  } else {
    journal("resumed", "checkpoint " + std::filesystem::path(newest_folder_).filename().string(), self);
  }
}

void Coordinator::Machine::say(std::string line, bool warning) {
  effects_.push_back(Say{std::move(line), warning});
}

}  // namespace cadre::runtime
