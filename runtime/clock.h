// Times as a run's records carry them: UTC, ISO 8601. Functions take the time as an argument; only `now_utc` asks.
#pragma once

#include <chrono>
#include <string>

namespace cadre::runtime {

using UtcTime = std::chrono::system_clock::time_point;

UtcTime now_utc();

// "2026-01-31T23:59:59.042Z": milliseconds, rounded down.
std::string iso_time(UtcTime time);
// "2026-01-31"
std::string iso_date(UtcTime time);

}  // namespace cadre::runtime
