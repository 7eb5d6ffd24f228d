#include "launch/restart_policy.h"

#include <gtest/gtest.h>

namespace cadre::launch {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::steady_clock::time_point;

TEST(RestartPolicy, WaitsTwiceAsLongEachTimeAndThenLeavesTheRankOut) {
  std::vector<Time> starts;
  Time now{1h};
  for (const auto delay : {1s, 2s, 4s, 8s, 16s}) {
    ASSERT_EQ(restart_delay(starts, now), delay);
    starts.push_back(now += delay);
  }
  EXPECT_EQ(restart_delay(starts, now), std::nullopt);
}

TEST(RestartPolicy, ForgetsStartsThatAreLongAgo) {
  const Time first{1h};
  const std::vector<Time> starts = {first, first + 1min, first + 2min, first + 3min, first + 4min};
  EXPECT_EQ(restart_delay(starts, first + kRestartWindow - 1ms), std::nullopt);
  EXPECT_EQ(restart_delay(starts, first + kRestartWindow), 16s);
  EXPECT_EQ(restart_delay(starts, first + 1h), 1s);
}

}  // namespace
}  // namespace cadre::launch
