// Checkpoints as the coordinator sees them: ordered, complete or given up, there or not, removed.
#include "runtime/coordinator_machine.h"
#include "runtime/error.h"

namespace cadre::runtime {

std::string Coordinator::Machine::folder_of(std::uint64_t step) const {
  return (std::filesystem::path(options_.checkpoints) / checkpoint_name(step)).string();
}

void Coordinator::Machine::order_snapshot(std::string reason) {
  Snapshot snapshot{.step = course_.done, .stamp = stamp_, .course = course_, .reason = std::move(reason)};
  if (course_.best.step == static_cast<std::int64_t>(course_.done)) snapshot.best_before = best_before_;
  for (const auto& holders : placement_.holders) snapshot.missing.insert(view_.members[holders.front()].rank);
  owed_snapshot_.clear();
  snapshots_.order(std::move(snapshot));
}

void Coordinator::Machine::give_up(const std::vector<std::uint64_t>& snapshots, const std::string& reason) {
  for (const std::uint64_t step : snapshots) {
    const std::optional<Snapshot> snapshot = snapshots_.failed(step);
    effects_.push_back(GiveUpCheckpoint{step, snapshot->stamp, {}});
    journal("checkpoint_given_up", reason, {{"step", step}});
    // Taken again at the next boundary, with the state of then.
    owed_snapshot_ = snapshot->reason;
    const bool is_best = course_.best.step == static_cast<std::int64_t>(step);
    if (options_.policy.patience > 0 && is_best && step != course_.done) must_go_back_ = true;
    snapshots_.go_back(newest_course_.done);
  }
}

// The old checkpoints are as they were and training can go on; the user hears of it, and the record keeps it.
void Coordinator::Machine::checkpoint_failed(const Snapshot& snapshot, const std::string& problem) {
  say(runtime::say("step ", snapshot.step, ": no checkpoint was written: ", problem), true);
  journal("checkpoint_failed", problem, {{"step", snapshot.step}});
}

void Coordinator::Machine::checkpoint_published(std::uint64_t step, const std::string& problem, TimePoint now) {
  if (finished()) return;
  now_ = now;
  if (!problem.empty()) {
    if (const std::optional<Snapshot> snapshot = snapshots_.failed(step)) checkpoint_failed(*snapshot, problem);
  } else if (const std::optional<Snapshot> snapshot = snapshots_.published(step)) {
    journal("checkpoint", snapshot->reason, {{"step", step}});
    if (step >= newest_course_.done) {
      newest_folder_ = folder_of(step);
      newest_course_ = snapshot->course;
    }
    if (snapshot->course.best.step == static_cast<std::int64_t>(step)) best_published_ = snapshot->course.best.step;
    remove_old_checkpoints(step, snapshot->best_before);
  }
  if (phase_ == Phase::kWaiting) do_next();
  if (phase_ == Phase::kFencing) install_when_all_have_reported();
}

// What was published may have been damaged since. Who looked has said so.
void Coordinator::Machine::checkpoint_found(const CoordinatorOptions::Start& found, TimePoint now) {
  if (finished() || search_ != Search::kUnderWay) return;
  now_ = now;
  search_ = Search::kDone;
  if (found.folder != newest_folder_) {
    newest_folder_ = found.folder;
    newest_course_ = found.folder.empty() ? RunCourse{} : course_of(found.manifest);
    best_published_ = std::min(best_published_, newest_course_.best.step);
  }
  if (phase_ == Phase::kFencing) install_when_all_have_reported();
}

void Coordinator::Machine::remove_checkpoint(std::uint64_t step) {
  if (!snapshots_.is_published(step) || step == newest_course_.done) return;
  snapshots_.removed(step);
  effects_.push_back(RemoveCheckpoint{step});
}

void Coordinator::Machine::remove_old_checkpoints(std::uint64_t newest, std::int64_t best_before) {
  // One that was kept only for being the best makes room.
  if (best_before > 0 && !is_saved_anyway(options_.policy, static_cast<std::uint64_t>(best_before))) {
    remove_checkpoint(static_cast<std::uint64_t>(best_before));
  }
  // The best one may still be on its way; until then the one before it stays.
  std::set<std::uint64_t> kept{newest, newest_course_.done};
  for (const std::int64_t best : {course_.best.step, best_published_}) {
    if (best > 0) kept.insert(static_cast<std::uint64_t>(best));
  }
  for (const std::uint64_t step : snapshots_.to_remove(options_.policy.save_total_limit, kept)) remove_checkpoint(step);
}

}  // namespace cadre::runtime
