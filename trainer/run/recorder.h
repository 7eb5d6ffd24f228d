// The records of a run as users read them: from the coordinator's decisions to metrics.jsonl, ledger.jsonl and
// TensorBoard; and news for whoever shows the run's progress.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "runtime/effects.h"
#include "runtime/json_lines.h"
#include "trainer/config/config.h"
#include "trainer/optimizer/schedule.h"
#include "trainer/run/progress.h"
#include "trainer/run/tensorboard.h"

namespace cadre::run {

// One thread. `config` outlives it.
class Recorder {
 public:
  // Lines of {"step": {…}} and {"evaluation": {…}} for show_news().
  using Tell = std::function<void(const boost::json::object& news)>;
  // `total_steps` of the run; `done` updates are in the checkpoint that it goes on from (no checkpoint: nothing), and
  // lines about later ones are forgotten.
  struct Start {
    std::uint64_t total_steps = 0;
    std::optional<std::uint64_t> done = {};
    double seconds = 0;  // of work since, in another process
  };
  // `folder` is the run's. RunError when the disk refuses.
  Recorder(const config::Config& config, std::filesystem::path folder, Tell tell, const Start& start);

  void committed(const runtime::Committed& commit);
  void evaluated(const runtime::EvaluationDone& evaluation);
  void rolled_back(const runtime::RolledBack& rollback);

 private:
  void forget_after(std::optional<std::uint64_t> done);
  void write_metrics(const runtime::Committed& commit, double learning_rate, double seconds);

  std::filesystem::path folder_;
  Tell tell_;
  std::uint64_t total_steps_;
  optimizer::ScheduleOptions schedule_;
  std::optional<runtime::JsonLinesWriter> metrics_, ledger_;
  std::optional<TensorBoardWriter> tensorboard_;  // report_to: [tensorboard]
  std::chrono::steady_clock::time_point window_begin_, last_;
  std::uint64_t window_tokens_ = 0;    // since window_begin_: of this process, for the speed
  double window_compute_seconds_ = 0;  // of each step's slowest rank
  double seconds_per_step_ = 0;        // smoothed, for the time that is left
};

// Shows on `progress` what a recorder told.
void show_news(const boost::json::object& news, Progress& progress);

}  // namespace cadre::run
