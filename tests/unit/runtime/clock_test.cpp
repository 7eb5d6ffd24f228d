#include "runtime/clock.h"

#include <gtest/gtest.h>

namespace cadre::runtime {
namespace {

using std::chrono::milliseconds;

TEST(Clock, WritesIsoTimes) {
  const struct {
    std::int64_t milliseconds_since_1970;
    const char* expected;
  } cases[] = {
      {0, "1970-01-01T00:00:00.000Z"},
      {951'827'696'789, "2000-02-29T12:34:56.789Z"},
      {1'767'225'599'999, "2025-12-31T23:59:59.999Z"},
      {1'767'225'600'000, "2026-01-01T00:00:00.000Z"},
      {-1, "1969-12-31T23:59:59.999Z"},
  };
  for (const auto& one : cases) {
    const UtcTime time{milliseconds(one.milliseconds_since_1970)};
    EXPECT_EQ(iso_time(time), one.expected);
    EXPECT_EQ(iso_date(time), std::string(one.expected).substr(0, 10));
  }
}

TEST(Clock, RoundsMillisecondsDown) {
  EXPECT_EQ(iso_time(UtcTime{std::chrono::microseconds(1999)}), "1970-01-01T00:00:00.001Z");
}

TEST(Clock, NowIsAfterThisWasWritten) {
  EXPECT_GT(iso_date(now_utc()), "2025-01-01");
}

}  // namespace
}  // namespace cadre::runtime
