// Learning rate by step, as transformers' schedulers have it: a pure function.
#pragma once

#include <cstdint>

namespace cadre::optimizer {

enum class Schedule { kConstant, kLinear, kCosine };

struct ScheduleOptions {
  Schedule schedule = Schedule::kCosine;
  double learning_rate = 0;
  std::int64_t warmup_steps = 0;  // linear from 0
  std::int64_t total_steps = 0;
};

// Of the update `step`, counted from 0 (transformers' optimization.py:
// get_{constant,linear,cosine}_schedule_with_warmup).
double learning_rate_at(std::int64_t step, const ScheduleOptions& options);

}  // namespace cadre::optimizer
