#include "trainer/run/schedule_of.h"

#include <cmath>

namespace cadre::run {

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

}  // namespace cadre::run
