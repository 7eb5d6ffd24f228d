// What a person sees of a run: a bar on a terminal, a line a logging step in a pipe, nothing when asked to be quiet.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/descriptor.h"

namespace cadre::run {

struct StepReport {
  std::int64_t step = 0, max_steps = 0;
  double loss = 0;       // of this step
  double mean_loss = 0;  // of the steps since the last logging step: what metrics.jsonl holds
  double learning_rate = 0, grad_norm = 0, tokens_per_second = 0, seconds_left = 0;
};

class Progress {
 public:
  enum class Style { kBar, kLines, kQuiet };
  // kBar where stderr is a terminal, else kLines.
  static Style style_for_stderr(bool quiet);

  explicit Progress(Style style);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // From here on every line goes to this file too, with its time, whatever the style. A file that cannot be opened is
  // a warning: a run does not end for want of its log.
  void log_to(const std::filesystem::path& file);

  // A line of its own, whatever the style (but quiet): what was found, what was decided.
  void note(const std::string& line);
  // Always shown: what a user must know.
  void warn(const std::string& line);
  // After each step; `logged` where the step is a logging step.
  void step(const StepReport& report, bool logged);
  // A validation result at a step.
  void evaluation(std::int64_t step, double loss, bool best);

 private:
  // On stderr. A terminal that is held (Ctrl-S) or a pipe that nobody reads must not hold up a run: what they do not
  // take soon is left out. The log has it.
  void show(const std::string& text);
  void clear_bar();
  void draw_bar(const StepReport& report);
  void log(const std::string& line);

  Style style_;
  bool bar_shown_ = false;
  runtime::Descriptor out_;  // stderr once more, not blocking, where it is a terminal or a pipe
  bool is_held_ = false;     // it takes nothing
  std::FILE* log_ = nullptr;
  std::vector<double> losses_;  // of every step, for the sparkline
};

// "1m 05s", "2h 03m": for a person.
std::string duration_text(double seconds);

}  // namespace cadre::run
