#include "trainer/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cadre::optimizer {

double learning_rate_at(std::int64_t step, const ScheduleOptions& options) {
  const auto warmup = static_cast<double>(options.warmup_steps), total = static_cast<double>(options.total_steps);
  const auto now = static_cast<double>(step);
  if (now < warmup) return options.learning_rate * (now / std::max(1.0, warmup));
  switch (options.schedule) {
    case Schedule::kConstant:
      return options.learning_rate;
    case Schedule::kLinear:
      return options.learning_rate * std::max(0.0, (total - now) / std::max(1.0, total - warmup));
    case Schedule::kCosine: {
      const double progress = (now - warmup) / std::max(1.0, total - warmup);
      return options.learning_rate * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
    }
  }
  return options.learning_rate;
}

}  // namespace cadre::optimizer
