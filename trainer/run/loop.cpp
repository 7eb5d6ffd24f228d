#include "trainer/run/loop.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "trainer/run/receipt.h"
#include "trainer/run/snapshot.h"
#include "trainer/run/step.h"

namespace cadre::run {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

optimizer::ScheduleOptions schedule_of(const config::Config& config, std::int64_t total_steps) {
  optimizer::ScheduleOptions options{.learning_rate = config.learning_rate, .total_steps = total_steps};
  options.schedule = config.lr_scheduler == "constant" ? optimizer::Schedule::kConstant
                     : config.lr_scheduler == "linear" ? optimizer::Schedule::kLinear
                                                       : optimizer::Schedule::kCosine;
  if (config.warmup_steps) options.warmup_steps = *config.warmup_steps;
  if (config.warmup_ratio) {
    options.warmup_steps =
        static_cast<std::int64_t>(std::ceil(*config.warmup_ratio * static_cast<double>(total_steps)));
  }
  return options;
}

// A double through JSON to the bit.
std::int64_t bits_of(double value) {
  return std::bit_cast<std::int64_t>(value);
}
double double_of(const boost::json::value& bits) {
  return std::bit_cast<double>(bits.to_number<std::int64_t>());
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Steps between two events that happen `steps` apart, or `per_epoch` times an epoch; 0: never.
std::int64_t every(std::int64_t steps, double per_epoch, std::int64_t steps_per_epoch) {
  if (steps > 0) return steps;
  if (per_epoch <= 0) return 0;
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(steps_per_epoch) / per_epoch));
}

std::int64_t step_of(const boost::json::object& line) {
  const auto* step = line.if_contains("step");
  return step != nullptr && step->is_int64() ? step->as_int64() : 0;
}

}  // namespace

struct StepOutcome {
  StepGradient gradient;
  double norm = 0, learning_rate = 0;
};

Loop::Loop(Parts parts)
    : parts_(parts),
      plan_(parts.prepared.train, parts.config),
      optimizer_(parts.config, parts.decoder.parameters()),
      schedule_(schedule_of(parts.config, plan_.total_steps())),
      early_stopping_{.patience = parts.config.early_stopping_patience},
      store_(parts.folder.checkpoints()) {
  const config::Config& config = parts_.config;
  if (parts_.prepared.validation.rows() > 0) {
    eval_every_ = every(config.eval_steps, config.evals_per_epoch, plan_.steps_per_epoch());
  }
  save_every_ = every(config.save_steps, config.saves_per_epoch, plan_.steps_per_epoch());
}

void Loop::journal(boost::json::object event) {
  event["time"] = runtime::iso_time(runtime::now_utc());
  journal_->write(event);
}

// The newest valid one of this run; a checkpoint that the configuration names is where the run first starts from.
std::optional<runtime::LoadableCheckpoint> Loop::checkpoint_to_resume() {
  std::optional<runtime::LoadableCheckpoint> own;
  if (parts_.folder.opening() == runtime::Opening::kResume) {
    runtime::CheckpointStore::Search search = store_.newest_valid();
    for (const runtime::CheckpointEntry& entry : search.skipped) {
      parts_.progress.warn(entry.folder.string() + " is damaged and left aside: " + entry.problem);
    }
    own = std::move(search.found);
  }
  const std::string& from = parts_.config.resume_from_checkpoint;
  if (from == "auto" || from == "none") return own;
  if (const std::string problem = runtime::verify_checkpoint(from); !problem.empty()) {
    throw runtime::UserError("resume_from_checkpoint: " + from + ": " + problem);
  }
  runtime::LoadableCheckpoint named{from, runtime::read_manifest(from)};
  return own && own->manifest.step >= named.manifest.step ? own : named;
}

bool Loop::restore(const boost::json::object& receipt, const boost::json::object& now) {
  store_.clean_up();
  const std::optional<runtime::LoadableCheckpoint> found = checkpoint_to_resume();
  if (found) {
    if (!receipt.empty()) require_same_mathematics(receipt, now);
    const boost::json::value* layout = found->manifest.state.if_contains("parameter_layout");
    if (layout == nullptr || *layout != boost::json::value(layout_sha256(parts_.decoder.parameters()))) {
      throw runtime::UserError(found->folder.string() + ": is of another model or another set of trained parameters");
    }
    if (static_cast<std::int64_t>(found->manifest.step) > plan_.total_steps()) {
      throw runtime::UserError(runtime::say(found->folder.string(), ": is of step ", found->manifest.step,
                                            ", this run has ", plan_.total_steps(), "; raise max_steps or num_epochs"));
    }
    load_snapshot(found->folder / kSnapshotFile, parts_.decoder.parameters(), optimizer_);
    done_ = static_cast<std::int64_t>(found->manifest.step);
    saved_ = done_;
    const boost::json::object& state = found->manifest.state;
    early_stopping_.best_step = state.at("best_step").to_number<std::int64_t>();
    early_stopping_.best_loss = double_of(state.at("best_loss_bits"));
    early_stopping_.worse = state.at("worse").to_number<std::int64_t>();
    window_.loss_sum = double_of(state.at("window_loss_bits"));
    window_.steps = state.at("window_steps").to_number<std::int64_t>();
    window_.tokens = state.at("window_tokens").to_number<std::int64_t>();
    if (done_ > plan_.total_steps()) {
      throw runtime::UserError(runtime::say(found->folder.string(), ": of step ", done_, ", but this run ends at step ",
                                            plan_.total_steps(), "; raise max_steps or name an older checkpoint"));
    }
  }
  // Lines about steps that will be done again are forgotten, of a run that begins anew the validation loss of step 0
  // too; the journal keeps everything.
  const auto later = [&](const boost::json::object& line) { return !found || step_of(line) > done_; };
  runtime::cut_json_lines(parts_.folder.metrics(), later);
  runtime::cut_json_lines(parts_.folder.ledger(), later);
  metrics_.emplace(parts_.folder.metrics());
  ledger_.emplace(parts_.folder.ledger());
  journal_.emplace(parts_.folder.journal());
  if (!parts_.config.report_to.empty()) tensorboard_.emplace(parts_.folder.logs() / "tensorboard", wall_seconds());
  if (found) {
    parts_.progress.note(runtime::say("going on from step ", done_, " of ", plan_.total_steps()));
    journal({{"event", "resumed"}, {"step", done_}, {"reason", "checkpoint " + found->folder.filename().string()}});
  } else {
    journal({{"event", "started"}, {"step", 0}, {"reason", "no checkpoint to go on from"}});
  }
  return found.has_value();
}

void Loop::one_step(std::int64_t index) {
  const data::Step& step = plan_.at(index);
  StepOutcome outcome{compute_gradient(parts_.decoder, parts_.prepared.train, step,
                                       {.seed = static_cast<std::uint64_t>(parts_.config.seed),
                                        .step = static_cast<std::uint32_t>(index),
                                        .lora_dropout = parts_.config.lora_dropout,
                                        .checkpointing = parts_.config.gradient_checkpointing}),
                      0, optimizer::learning_rate_at(index, schedule_)};
  outcome.norm = OptimizerState::norm_of(outcome.gradient.sum);
  boost::json::array micro_batches;
  for (std::size_t m = 0; m < step.micro_batches.size(); ++m) {
    boost::json::array rows;
    for (const std::uint32_t row : step.micro_batches[m].rows) rows.emplace_back(row);
    micro_batches.push_back(boost::json::object{{"micro_batch", m}, {"rank", 0}, {"samples", std::move(rows)}});
  }
  if (!std::isfinite(outcome.gradient.loss) || !std::isfinite(outcome.norm)) {
    const std::string reason = runtime::say("step ", index + 1, ": the loss is ", outcome.gradient.loss,
                                            " and the gradient's norm ", outcome.norm);
    journal({{"event", "non_finite"}, {"step", index + 1}, {"reason", reason}, {"micro_batches", micro_batches}});
    throw runtime::RunError(reason +
                            "; a lower learning_rate or a look at the step's samples in journal.jsonl may help");
  }
  optimizer_.apply(parts_.decoder.parameters(), outcome.gradient.sum, outcome.learning_rate,
                   optimizer::clip_scale(outcome.norm, parts_.config.max_grad_norm), index + 1);
  ledger_->write({{"step", index + 1}, {"generation", 0}, {"view", 0}, {"micro_batches", std::move(micro_batches)}});
  log_step(index + 1, outcome);
}

void Loop::log_step(std::int64_t done, const StepOutcome& outcome) {
  window_.loss_sum += outcome.gradient.loss;
  window_.tokens += outcome.gradient.tokens;
  ++window_.steps;
  const double seconds = seconds_since(window_.begin);
  const double per_step = seconds / static_cast<double>(window_.steps);
  seconds_per_step_ = seconds_per_step_ == 0 ? per_step : 0.9 * seconds_per_step_ + 0.1 * per_step;
  const bool logged = done % parts_.config.logging_steps == 0 || done == plan_.total_steps();
  const double speed = static_cast<double>(window_.tokens) / std::max(seconds, 1e-9);
  parts_.progress.step({.step = done,
                        .max_steps = plan_.total_steps(),
                        .loss = outcome.gradient.loss,
                        .mean_loss = window_.loss_sum / static_cast<double>(window_.steps),
                        .learning_rate = outcome.learning_rate,
                        .grad_norm = outcome.norm,
                        .tokens_per_second = speed,
                        .seconds_left = seconds_per_step_ * static_cast<double>(plan_.total_steps() - done)},
                       logged);
  if (!logged) return;
  if (tensorboard_) {
    const double now = wall_seconds();
    tensorboard_->scalar("train/loss", done, window_.loss_sum / static_cast<double>(window_.steps), now);
    tensorboard_->scalar("train/learning_rate", done, outcome.learning_rate, now);
    tensorboard_->scalar("train/grad_norm", done, outcome.norm, now);
    tensorboard_->scalar("train/tokens_per_second", done, speed, now);
  }
  metrics_->write({{"step", done},
                   {"epoch", plan_.epochs_after(done)},
                   {"loss", window_.loss_sum / static_cast<double>(window_.steps)},
                   {"learning_rate", outcome.learning_rate},
                   {"grad_norm", outcome.norm},
                   {"tokens", window_.tokens},
                   {"tokens_per_second", speed},
                   {"seconds", seconds},
                   {"ranks", 1}});
  window_ = {.begin = Clock::now()};
}

void Loop::evaluate_now(std::int64_t done) {
  const Clock::time_point begin = Clock::now();
  const double loss =
      evaluate(parts_.decoder, parts_.prepared.validation, parts_.config.micro_batch_size * parts_.config.sequence_len);
  const std::int64_t previous_best = early_stopping_.best_step;
  const bool best = early_stopping_.observe(done, loss);
  parts_.progress.evaluation(done, loss, best);
  metrics_->write(
      {{"step", done}, {"epoch", plan_.epochs_after(done)}, {"eval_loss", loss}, {"seconds", seconds_since(begin)}});
  if (tensorboard_) tensorboard_->scalar("eval/loss", done, loss, wall_seconds());
  // The best is kept as a checkpoint, so that a resumed run still has it.
  if (best && done > 0) {
    save(done, "best validation loss so far");
    // One that was kept only for being the best makes room.
    const bool regular = save_every_ > 0 && previous_best % save_every_ == 0;
    if (saved_ == done && previous_best > 0 && !regular) remove_checkpoint(previous_best);
  }
  // Throughput is that of the training steps.
  window_.begin += Clock::now() - begin;
}

void Loop::save(std::int64_t done, const std::string& reason) {
  if (saved_ == done) return;
  try {
    runtime::StagedCheckpoint staged = store_.begin(static_cast<std::uint64_t>(done));
    write_snapshot(staged.shard_path(kSnapshotFile), parts_.decoder.parameters(), optimizer_);
    staged.add_shard(kSnapshotFile);
    runtime::Manifest manifest;
    manifest.run_id = parts_.folder.record().run_id;
    manifest.step = static_cast<std::uint64_t>(done);
    manifest.data_position = {{"step", done}};
    manifest.state = {{"best_step", early_stopping_.best_step},
                      {"best_loss_bits", bits_of(early_stopping_.best_loss)},
                      {"worse", early_stopping_.worse},
                      {"window_loss_bits", bits_of(window_.loss_sum)},
                      {"window_steps", window_.steps},
                      {"window_tokens", window_.tokens},
                      {"parameter_layout", layout_sha256(parts_.decoder.parameters())}};
    staged.publish(std::move(manifest), runtime::now_utc());
    saved_ = done;
    journal({{"event", "checkpoint"}, {"step", done}, {"reason", reason}});
  } catch (const runtime::RunError& error) {
    // The old checkpoints are as they were and training can go on; the user hears of it, and the record keeps it.
    parts_.progress.warn(runtime::say("step ", done, ": no checkpoint was written: ", error.what()));
    journal({{"event", "checkpoint_failed"}, {"step", done}, {"reason", error.what()}});
  }
  if (saved_ == done) remove_old_checkpoints(done);
}

void Loop::remove_checkpoint(std::int64_t step) {
  try {
    store_.remove(static_cast<std::uint64_t>(step));
  } catch (const runtime::RunError& error) {
    parts_.progress.warn(runtime::say("the checkpoint of step ", step, " could not be removed: ", error.what()));
  }
}

void Loop::remove_old_checkpoints(std::int64_t newest) {
  std::set<std::uint64_t> steps, kept{static_cast<std::uint64_t>(newest)};
  for (const runtime::CheckpointEntry& entry : store_.list()) steps.insert(entry.step);
  if (early_stopping_.best_step > 0) kept.insert(static_cast<std::uint64_t>(early_stopping_.best_step));
  for (const std::uint64_t step :
       runtime::checkpoints_to_remove(steps, static_cast<std::size_t>(parts_.config.save_total_limit), kept)) {
    remove_checkpoint(static_cast<std::int64_t>(step));
  }
}

Outcome Loop::stop() {
  // What a run starts from is a function of its configuration: before the first step there is nothing to save.
  if (done_ > 0) save(done_, "stopped by a signal");
  if (done_ > 0 && saved_ != done_) {
    throw runtime::RunError("stopped by a signal, and the checkpoint could not be written");
  }
  journal({{"event", "stopped"}, {"step", done_}, {"reason", runtime::say("signal ", parts_.stop.received())}});
  parts_.progress.note(runtime::say("stopped after step ", done_, "; the same command goes on from here"));
  return Outcome::kStopped;
}

Outcome Loop::run() {
  if (parts_.stop.received() != 0) return stop();
  if (done_ == 0 && eval_every_ > 0) evaluate_now(0);
  window_.begin = Clock::now();
  while (done_ < plan_.total_steps() && !early_stopping_.should_stop()) {
    if (parts_.stop.received() != 0) return stop();
    one_step(done_);
    ++done_;
    const bool last = done_ == plan_.total_steps();
    if (eval_every_ > 0 && (done_ % eval_every_ == 0 || last)) evaluate_now(done_);
    if (last || early_stopping_.should_stop()) break;
    if (save_every_ > 0 && done_ % save_every_ == 0) save(done_, "save_steps");
  }
  if (early_stopping_.should_stop() && done_ < plan_.total_steps()) {
    journal({{"event", "early_stopping"},
             {"step", done_},
             {"reason", runtime::say("no better validation loss than step ", early_stopping_.best_step, "'s for ",
                                     early_stopping_.worse, " evaluations")}});
  }
  save(done_, "the last step");
  return Outcome::kSucceeded;
}

std::string Loop::take_result() {
  if (parts_.config.early_stopping_patience == 0 || early_stopping_.best_step < 0 ||
      early_stopping_.best_step == done_) {
    return runtime::say("step ", done_, " (the last)");
  }
  // Step 0 is the seeded start: what it was is loaded anew.
  if (early_stopping_.best_step == 0) {
    const std::unique_ptr<model::Decoder> start = load_decoder(parts_.base, parts_.config);
    parts_.decoder.parameters().values().copy_(start->parameters().values());
  } else {
    const auto folder =
        store_.folder() / runtime::checkpoint_name(static_cast<std::uint64_t>(early_stopping_.best_step));
    // A full disk may have refused it, or lost it since: the last step's result is then worth more than none.
    if (const std::string problem = runtime::verify_checkpoint(folder); !problem.empty()) {
      parts_.progress.warn(runtime::say("step ", early_stopping_.best_step, " had the best validation loss, but ",
                                        folder.string(), " cannot be used: ", problem, "; the result is of step ",
                                        done_));
      return runtime::say("step ", done_, " (the last; the best, step ", early_stopping_.best_step, ", was not kept)");
    }
    load_parameters(folder / kSnapshotFile, parts_.decoder.parameters());
  }
  return runtime::say("step ", early_stopping_.best_step, " (the best validation loss)");
}

void Loop::finish() {
  journal({{"event", "succeeded"}, {"step", done_}, {"reason", "the result was read back equal"}});
}

}  // namespace cadre::run
