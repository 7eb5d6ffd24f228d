#include "trainer/run/recorder.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "trainer/run/schedule_of.h"

namespace cadre::run {
namespace {

using Clock = std::chrono::steady_clock;

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// Not a number where every step was skipped.
double mean_loss(const runtime::Window& window) {
  return window.loss_sum / static_cast<double>(window.steps);
}

std::uint64_t step_of(const boost::json::object& line) {
  const auto* step = line.if_contains("step");
  return step != nullptr && step->is_int64() && step->as_int64() > 0 ? static_cast<std::uint64_t>(step->as_int64()) : 0;
}

}  // namespace

Recorder::Recorder(const config::Config& config, std::filesystem::path folder, Tell tell, const Start& start)
    : folder_(std::move(folder)),
      tell_(std::move(tell)),
      total_steps_(start.total_steps),
      schedule_(schedule_of(config, static_cast<std::int64_t>(start.total_steps))),
      window_begin_(Clock::now() -
                    std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(start.seconds))),
      last_(window_begin_) {
  forget_after(start.done);
  if (!config.report_to.empty()) tensorboard_.emplace(folder_ / "logs" / "tensorboard", wall_seconds());
}

// Of a run that begins anew the validation loss of step 0 too.
void Recorder::forget_after(std::optional<std::uint64_t> done) {
  metrics_.reset();
  ledger_.reset();
  const auto later = [&](const boost::json::object& line) { return !done || step_of(line) > *done; };
  runtime::cut_json_lines(folder_ / "metrics.jsonl", later);
  runtime::cut_json_lines(folder_ / "ledger.jsonl", later);
  metrics_.emplace(folder_ / "metrics.jsonl");
  ledger_.emplace(folder_ / "ledger.jsonl");
}

void Recorder::committed(const runtime::Committed& commit) {
  boost::json::array micro_batches;
  for (const runtime::LedgerEntry& entry : commit.micro_batches) {
    boost::json::array samples;
    for (const std::uint32_t row : entry.samples) samples.emplace_back(row);
    micro_batches.push_back({{"micro_batch", entry.micro_batch},
                             {"rank", entry.rank},
                             {"view", entry.view},
                             {"samples", std::move(samples)}});
  }
  boost::json::object line{{"step", commit.step},
                           {"generation", commit.stamp.generation},
                           {"view", commit.stamp.view},
                           {"micro_batches", std::move(micro_batches)}};
  if (commit.is_skipped) line["skipped"] = true;
  ledger_->write(line);

  const Clock::time_point now = commit.at;
  const double last = seconds_between(last_, now), seconds = seconds_between(window_begin_, now);
  last_ = now;
  window_tokens_ += commit.tokens;
  window_compute_seconds_ += commit.compute_seconds;
  seconds_per_step_ = seconds_per_step_ == 0 ? last : 0.9 * seconds_per_step_ + 0.1 * last;
  const double learning_rate = optimizer::learning_rate_at(static_cast<std::int64_t>(commit.step) - 1, schedule_);
  const std::uint64_t left = total_steps_ > commit.step ? total_steps_ - commit.step : 0;
  tell_({{"step",
          {{"step", commit.step},
           {"max_steps", total_steps_},
           {"loss", commit.loss},
           {"mean_loss", mean_loss(commit.window)},
           {"learning_rate", learning_rate},
           {"grad_norm", commit.grad_norm},
           {"tokens_per_second", static_cast<double>(window_tokens_) / std::max(seconds, 1e-9)},
           {"seconds_left", seconds_per_step_ * static_cast<double>(left)},
           {"logged", commit.logged}}}});
  if (!commit.logged) return;
  write_metrics(commit, learning_rate, seconds);
  window_begin_ = now;
  window_tokens_ = 0;
  window_compute_seconds_ = 0;
}

void Recorder::write_metrics(const runtime::Committed& commit, double learning_rate, double seconds) {
  const double loss = mean_loss(commit.window);
  const double speed = static_cast<double>(window_tokens_) / std::max(seconds, 1e-9);
  if (tensorboard_) {
    const auto step = static_cast<std::int64_t>(commit.step);
    const double now = wall_seconds();
    tensorboard_->scalar("train/loss", step, loss, now);
    tensorboard_->scalar("train/learning_rate", step, learning_rate, now);
    tensorboard_->scalar("train/grad_norm", step, commit.grad_norm, now);
    tensorboard_->scalar("train/tokens_per_second", step, speed, now);
  }
  boost::json::object line{{"step", commit.step},
                           {"epoch", commit.epoch},
                           {"loss", loss},
                           {"learning_rate", learning_rate},
                           {"grad_norm", commit.grad_norm},
                           {"tokens", commit.window.tokens},
                           {"tokens_per_second", speed},
                           {"seconds", seconds},
                           {"compute_share", window_compute_seconds_ / std::max(seconds, 1e-9)},
                           {"ranks", commit.ranks}};
  if (commit.window.skipped > 0) line["skipped"] = commit.window.skipped;
  metrics_->write(line);
}

void Recorder::evaluated(const runtime::EvaluationDone& evaluation) {
  const Clock::time_point now = evaluation.at;
  const double seconds = seconds_between(last_, now);
  tell_({{"evaluation", {{"step", evaluation.step}, {"loss", evaluation.loss}, {"best", evaluation.best}}}});
  metrics_->write(
      {{"step", evaluation.step}, {"epoch", evaluation.epoch}, {"eval_loss", evaluation.loss}, {"seconds", seconds}});
  if (tensorboard_) {
    tensorboard_->scalar("eval/loss", static_cast<std::int64_t>(evaluation.step), evaluation.loss, wall_seconds());
  }
  // Throughput is that of the training steps.
  window_begin_ += now - last_;
  last_ = now;
}

void Recorder::rolled_back(const runtime::RolledBack& rollback) {
  forget_after(rollback.from_start ? std::optional<std::uint64_t>() : rollback.step);
  last_ = window_begin_ = Clock::now();
  window_tokens_ = 0;
  window_compute_seconds_ = 0;
}

void show_news(const boost::json::object& news, Progress& progress) {
  const auto number = [](const boost::json::object& object, const char* name) {
    const boost::json::value& value = object.at(name);
    return value.is_number() ? value.to_number<double>() : std::numeric_limits<double>::quiet_NaN();
  };
  const auto count = [](const boost::json::object& object, const char* name) {
    return object.at(name).to_number<std::int64_t>();
  };
  if (const auto* found = news.if_contains("step")) {
    const boost::json::object& step = found->as_object();
    progress.step({.step = count(step, "step"),
                   .max_steps = count(step, "max_steps"),
                   .loss = number(step, "loss"),
                   .mean_loss = number(step, "mean_loss"),
                   .learning_rate = number(step, "learning_rate"),
                   .grad_norm = number(step, "grad_norm"),
                   .tokens_per_second = number(step, "tokens_per_second"),
                   .seconds_left = number(step, "seconds_left")},
                  step.at("logged").as_bool());
  } else if (const auto* evaluation = news.if_contains("evaluation")) {
    const boost::json::object& fields = evaluation->as_object();
    progress.evaluation(count(fields, "step"), number(fields, "loss"), fields.at("best").as_bool());
  }
}

}  // namespace cadre::run
