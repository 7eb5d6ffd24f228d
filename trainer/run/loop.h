// The steps of a run, with what is logged, saved and decided between them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "runtime/checkpoint_store.h"
#include "runtime/json_lines.h"
#include "runtime/run_folder.h"
#include "trainer/optimizer/schedule.h"
#include "trainer/run/early_stopping.h"
#include "trainer/run/optimizer_state.h"
#include "trainer/run/preparation.h"
#include "trainer/run/progress.h"
#include "trainer/run/step_plan.h"
#include "trainer/run/stop_signal.h"
#include "trainer/run/tensorboard.h"
#include "trainer/run/train.h"

namespace cadre::run {

class Loop {
 public:
  // All of it outlives the loop.
  struct Parts {
    const config::Config& config;
    const Base& base;
    const data::Prepared& prepared;
    model::Decoder& decoder;
    runtime::RunFolder& folder;
    Progress& progress;
    const StopSignal& stop;
  };
  explicit Loop(Parts parts);

  std::int64_t total_steps() const { return plan_.total_steps(); }
  std::int64_t done_steps() const { return done_; }

  // Goes back to the newest valid checkpoint, or to the start where there is none. True when it resumed. UserError when
  // `receipt`, what the run began with, and `now` would not give the same result.
  bool restore(const boost::json::object& receipt, const boost::json::object& now);

  // Until the last step, the end of patience, or a signal.
  Outcome run();

  // Leaves in the decoder what is to be saved: with early stopping the best parameters, else the last. Says which.
  std::string take_result();

  // The run has succeeded: the last line of the journal.
  void finish();

 private:
  // What was accumulated since the last line of metrics.jsonl.
  struct Window {
    double loss_sum = 0;
    std::int64_t steps = 0, tokens = 0;
    std::chrono::steady_clock::time_point begin;
  };

  void one_step(std::int64_t index);
  void log_step(std::int64_t done, const struct StepOutcome& outcome);
  void evaluate_now(std::int64_t done);
  Outcome stop();
  std::optional<runtime::LoadableCheckpoint> checkpoint_to_resume();
  void remove_checkpoint(std::int64_t step);
  void save(std::int64_t done, const std::string& reason);
  void remove_old_checkpoints(std::int64_t newest);
  void journal(boost::json::object event);

  Parts parts_;
  StepPlan plan_;
  OptimizerState optimizer_;
  optimizer::ScheduleOptions schedule_;
  std::int64_t eval_every_ = 0, save_every_ = 0;
  std::int64_t done_ = 0;    // steps
  std::int64_t saved_ = -1;  // step of the newest checkpoint
  EarlyStopping early_stopping_;
  runtime::CheckpointStore store_;
  std::optional<runtime::JsonLinesWriter> metrics_, ledger_, journal_;
  std::optional<TensorBoardWriter> tensorboard_;  // report_to: [tensorboard]
  Window window_;
  double seconds_per_step_ = 0;  // smoothed, for the time that is left
};

}  // namespace cadre::run
