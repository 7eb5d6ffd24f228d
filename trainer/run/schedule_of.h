// The learning-rate schedule that a configuration asks for.
#pragma once

#include <cstdint>

#include "trainer/config/config.h"
#include "trainer/optimizer/schedule.h"

namespace cadre::run {

optimizer::ScheduleOptions schedule_of(const config::Config& config, std::int64_t total_steps);

}  // namespace cadre::run
