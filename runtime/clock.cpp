#include "runtime/clock.h"

#include <cstdio>

namespace cadre::runtime {

UtcTime now_utc() {
  return std::chrono::system_clock::now();
}

std::string iso_date(UtcTime time) {
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(time)};
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()));
  return text;
}

std::string iso_time(UtcTime time) {
  using namespace std::chrono;
  const hh_mm_ss clock{floor<milliseconds>(time - floor<days>(time))};
  char text[32];
  std::snprintf(text, sizeof text, "T%02d:%02d:%02d.%03dZ", static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return iso_date(time) + text;
}

}  // namespace cadre::runtime
