#include "runtime/refusals.h"

#include <gtest/gtest.h>

#include <vector>

namespace cadre::runtime {
namespace {

using namespace std::chrono_literals;

TEST(Refusals, AreToldAtOnceThenOnceAMinuteAndAtTheEnd) {
  std::vector<std::string> told;
  Refusals refusals([&](const std::string& line) { told.push_back(line); });
  const Refusals::Time start{};
  refusals.count(ChannelEnd::kGarbage, start);
  refusals.count(ChannelEnd::kToken, start + 1s);
  refusals.count(ChannelEnd::kClosed, start + 59s);
  refusals.count(ChannelEnd::kGarbage, start + 60s);
  refusals.count(ChannelEnd::kGarbage, start + 61s);
  refusals.tell_rest();
  refusals.tell_rest();
  EXPECT_EQ(told, (std::vector<std::string>{
                      "1 connection was refused: 1 garbage",
                      "4 connections were refused: 1 closed before they said who they are, 2 garbage, 1 a wrong token",
                      "5 connections were refused: 1 closed before they said who they are, 3 garbage, 1 a wrong token",
                  }));
  EXPECT_EQ(refusals.all(), 5u);
  EXPECT_EQ(refusals.of(ChannelEnd::kGarbage), 3u);
}

TEST(Refusals, AnEndThatIsNobodysFaultIsNone) {
  Refusals refusals([](const std::string& line) { ADD_FAILURE() << line; });
  for (const ChannelEnd why : {ChannelEnd::kClosedHere, ChannelEnd::kNotReading, ChannelEnd::kNobody}) {
    refusals.count(why, {});
  }
  refusals.tell_rest();
  EXPECT_EQ(refusals.all(), 0u);
}

}  // namespace
}  // namespace cadre::runtime
