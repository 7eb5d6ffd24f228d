#include "runtime/json_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <limits>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "tests/unit/runtime/small_disk.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

using testing::HasSubstr;

boost::json::object step_line(int step) {
  return {{"step", step}, {"text", "é\n\"x\""}};
}

std::vector<int> steps_of(const std::vector<boost::json::object>& lines) {
  std::vector<int> steps;
  for (const auto& line : lines) steps.push_back(static_cast<int>(line.at("step").as_int64()));
  return steps;
}

TEST(JsonPrint, WritesNumbersThatComeBack) {
  const struct {
    double number;
    const char* expected;
  } cases[] = {{0.1, "0.1"},
               {1, "1.0"},
               {-0.0, "-0.0"},
               {1e-4, "1e-04"},
               {1e300, "1e+300"},
               {0.30000000000000004, "0.30000000000000004"},
               {std::numeric_limits<double>::quiet_NaN(), "null"},
               {-std::numeric_limits<double>::infinity(), "null"}};
  for (const auto& one : cases) {
    EXPECT_EQ(json_line(one.number), one.expected);
    if (std::string(one.expected) == "null") continue;
    EXPECT_EQ(boost::json::parse(one.expected).as_double(), one.number);
  }
}

TEST(JsonPrint, KeepsOrderAndEscapes) {
  const boost::json::object object{{"b", 1}, {"a", {true, nullptr, "\u0001\"\n"}}, {"e", boost::json::object()}};
  EXPECT_EQ(json_line(object), R"({"b":1,"a":[true,null,"\u0001\"\n"],"e":{}})");
  EXPECT_EQ(json_pretty(object),
            "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null,\n    \"\\u0001\\\"\\n\"\n  ],\n  \"e\": {}\n}");
}

TEST(JsonLines, ComeBackAsTheyWereWritten) {
  const TestFolder folder;
  for (int run = 0; run < 3; ++run) {
    JsonLinesWriter writer(folder / "metrics.jsonl", run == 1 ? Durability::kDisk : Durability::kKernel);
    writer.write(step_line(2 * run));
    writer.write(step_line(2 * run + 1));
  }
  const JsonLines read = read_json_lines(folder / "metrics.jsonl");
  EXPECT_EQ(read.problem, "");
  EXPECT_EQ(steps_of(read.lines), (std::vector{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(read.lines[3], step_line(3));
}

TEST(JsonLines, CanBeCutAtAnyByte) {
  const TestFolder folder;
  const auto path = folder / "ledger.jsonl";
  {
    JsonLinesWriter writer(path);
    for (int step = 0; step < 4; ++step) writer.write(step_line(step));
  }
  const std::string whole = get(path);
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    SCOPED_TRACE(length);
    const std::string cut = whole.substr(0, length);
    const auto lines = static_cast<std::size_t>(std::count(cut.begin(), cut.end(), '\n'));
    put(path, cut);
    const JsonLines read = read_json_lines(path);
    ASSERT_EQ(read.lines.size(), lines);
    ASSERT_EQ(read.problem.empty(), cut.empty() || cut.back() == '\n') << read.problem;
    ASSERT_EQ(last_json_lines(path, 10), read.lines);
    JsonLinesWriter(path).write(step_line(9));
    const JsonLines again = read_json_lines(path);
    ASSERT_EQ(again.problem, "");
    ASSERT_EQ(again.lines.size(), lines + 1);
    ASSERT_EQ(again.lines.back(), step_line(9));
  }
}

TEST(JsonLines, AWriterCutsWhatACrashOfTheMachineLeaves) {
  const TestFolder folder;
  const auto path = folder / "journal.jsonl";
  for (const std::string& garbage :
       {std::string(70'000, '\0'), std::string("{\"step\":7}}\n\0\0\n", 14), std::string("7\n")}) {
    put(path, "{\"step\":1}\n" + garbage);
    JsonLinesWriter(path).write(step_line(2));
    EXPECT_EQ(steps_of(read_json_lines(path).lines), (std::vector{1, 2}));
  }
}

TEST(JsonLines, DamageInTheMiddleIsNamedAndNotCutByAWriter) {
  const TestFolder folder;
  const auto path = folder / "journal.jsonl";
  put(path, "{\"step\":1}\n{\"step\":}\n{\"step\":3}\n");
  const JsonLines read = read_json_lines(path);
  EXPECT_EQ(steps_of(read.lines), (std::vector{1}));
  EXPECT_THAT(read.problem, HasSubstr("line 2: not a JSON object"));
  JsonLinesWriter(path).write(step_line(4));
  EXPECT_THAT(get(path), HasSubstr("{\"step\":3}\n{\"step\":4"));
  EXPECT_EQ(steps_of(last_json_lines(path, 9)), (std::vector{1, 3, 4}));
  EXPECT_EQ(steps_of(last_json_lines(path, 2)), (std::vector{3, 4}));
}

TEST(JsonLines, LongLinesCrossBlocksAndHaveABound) {
  const TestFolder folder;
  const auto path = folder / "long.jsonl";
  {
    JsonLinesWriter writer(path);
    for (const std::size_t bytes : {65'520u, 65'536u, 200'000u}) {
      writer.write({{"step", 1}, {"text", std::string(bytes, 'x')}});
    }
    EXPECT_THROW(writer.write({{"text", std::string(kMaxJsonLineBytes, 'x')}}), std::logic_error);
  }
  const JsonLines read = read_json_lines(path);
  EXPECT_EQ(read.problem, "");
  EXPECT_EQ(read.lines.size(), 3u);
  EXPECT_EQ(last_json_lines(path, 2).at(0), read.lines[1]);
  put(path, "{}\n" + std::string(kMaxJsonLineBytes + 1, ' ') + "\n{}\n");
  EXPECT_THAT(read_json_lines(path).problem, HasSubstr("line 2: longer than"));
  put(path, "{}\n" + std::string(100'000, '['));
  EXPECT_THAT(read_json_lines(path).problem, HasSubstr("line 2: cut off after 100000 bytes"));
  put(path, std::string(100'000, '[') + "\n");
  EXPECT_THAT(read_json_lines(path).problem, HasSubstr("line 1: not a JSON object"));
}

TEST(JsonLines, AResumedRunForgetsLaterSteps) {
  const TestFolder folder;
  const auto path = folder / "metrics.jsonl";
  const auto later_than = [](int step) {
    return [step](const boost::json::object& line) { return line.at("step").as_int64() > step; };
  };
  EXPECT_EQ(cut_json_lines(path, later_than(0)), 0u);
  {
    JsonLinesWriter writer(path);
    for (int step = 1; step <= 5; ++step) writer.write(step_line(step));
  }
  put(path, get(path) + "{\"ste");
  EXPECT_EQ(cut_json_lines(path, later_than(9)), 0u);
  EXPECT_EQ(read_json_lines(path).problem, "");
  EXPECT_EQ(cut_json_lines(path, later_than(3)), 2u);
  EXPECT_EQ(steps_of(read_json_lines(path).lines), (std::vector{1, 2, 3}));
  EXPECT_EQ(cut_json_lines(path, later_than(0)), 3u);
  EXPECT_EQ(get(path), "");
}

TEST(JsonLines, WhatCannotBeReadIsTheUsersToMend) {
  const TestFolder folder;
  EXPECT_THROW(read_json_lines(folder / "absent"), UserError);
  EXPECT_THROW(read_json_lines(folder.path()), UserError);
  EXPECT_TRUE(last_json_lines(folder / "absent", 3).empty());
  EXPECT_THROW(JsonLinesWriter(folder / "no/such/folder"), RunError);
}

TEST(JsonLines, AFullDiskLeavesWholeLines) {
  SmallDisk disk("size=8k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  const auto path = disk.path() / "metrics.jsonl";
  JsonLinesWriter writer(path);
  std::size_t written = 0;
  try {
    for (; written < 1000; ++written) writer.write({{"step", written}, {"text", std::string(900, 'x')}});
    FAIL() << "8 KiB took a megabyte";
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(), HasSubstr("metrics.jsonl: a line of "));
  }
  const JsonLines read = read_json_lines(path);
  EXPECT_EQ(read.problem, "");
  EXPECT_EQ(read.lines.size(), written);
  writer.write({{"step", 1}});  // what fits still goes on
  EXPECT_EQ(read_json_lines(path).lines.size(), written + 1);
}

}  // namespace
}  // namespace cadre::runtime
