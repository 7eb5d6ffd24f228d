#include "launch/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <sstream>

#include "runtime/error.h"
#include "runtime/json_lines.h"
#include "runtime/run_folder.h"
#include "tests/unit/runtime/scratch_folder.h"

namespace cadre::launch {
namespace {

using runtime::RunFolder;
using runtime::RunStatus;
using runtime::ScratchFolder;
using testing::AllOf;
using testing::HasSubstr;

const runtime::UtcTime kNow{std::chrono::seconds(1'767'225'600)};

void work(RunFolder& folder) {
  runtime::RunRecord record = folder.record();
  record.max_steps = 300;
  folder.write(record, kNow);
  runtime::JsonLinesWriter(folder.metrics()).write({{"step", 118}, {"loss", 2.25}});
  runtime::JsonLinesWriter(folder.metrics()).write({{"step", 118}, {"eval_loss", 2.5}});
  runtime::JsonLinesWriter(folder.ledger())
      .write({{"step", 120}, {"view", 3}, {"micro_batches", {{{"rank", 0}, {"samples", {1}}}, {{"rank", 0}}}}});
  runtime::JsonLinesWriter journal(folder.journal());
  for (int event = 0; event < 12; ++event) journal.write({{"event", "checkpoint"}, {"number", event}});
}

std::string text_of(const std::filesystem::path& run) {
  std::ostringstream out;
  EXPECT_EQ(status(run, false, out), 0);
  return out.str();
}

TEST(Status, OfALiveRun) {
  const ScratchFolder scratch;
  RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
  work(folder);
  std::ostringstream out;
  EXPECT_EQ(status(scratch.path(), true, out), 0);
  const boost::json::object facts = boost::json::parse(out.str()).as_object();
  std::vector<std::string> keys;
  for (const auto& item : facts) keys.emplace_back(item.key());
  EXPECT_THAT(keys, testing::ElementsAre("status", "step", "max_steps", "view", "coordinator", "ranks", "events"));
  EXPECT_EQ(facts.at("status"), "running");
  EXPECT_EQ(facts.at("step"), 120);
  EXPECT_EQ(facts.at("max_steps"), 300);
  EXPECT_EQ(facts.at("view"), 3);
  EXPECT_EQ(facts.at("coordinator").at("pid"), ::getpid());
  const boost::json::array& ranks = facts.at("ranks").as_array();
  ASSERT_EQ(ranks.size(), 1u);
  EXPECT_EQ(ranks[0].at("rank"), 0);
  EXPECT_EQ(ranks[0].at("pid"), ::getpid());
  EXPECT_EQ(ranks[0].at("host"), facts.at("coordinator").at("host"));
  EXPECT_EQ(ranks[0].at("state"), "live");
  EXPECT_EQ(ranks[0].at("micro_batches"), 2);
  const boost::json::array& events = facts.at("events").as_array();
  ASSERT_EQ(events.size(), 10u);
  EXPECT_EQ(events[0].at("number"), 2);
  EXPECT_EQ(events[9].at("number"), 11);
  EXPECT_THAT(text_of(scratch.path()), AllOf(HasSubstr(": running, step 120 of 300, loss 2.25, validation loss 2.5"),
                                             HasSubstr(": live"), HasSubstr("checkpoints  none")));
}

TEST(Status, AfterARun) {
  const struct {
    RunStatus status;
    const char *shown, *rank_state;
  } cases[] = {{RunStatus::kRunning, "interrupted", "lost"},
               {RunStatus::kSucceeded, "succeeded", "drained"},
               {RunStatus::kFailed, "failed", "lost"},
               {RunStatus::kStopped, "stopped", "drained"}};
  for (const auto& one : cases) {
    const ScratchFolder scratch;
    {
      RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
      work(folder);
      runtime::RunRecord record = folder.record();
      record.status = one.status;
      record.reason = "because";
      folder.write(record, kNow);
    }
    const boost::json::object facts = status_of_run(scratch.path());
    EXPECT_EQ(facts.at("status"), one.shown);
    EXPECT_EQ(facts.at("ranks").at(0).at("state"), one.rank_state);
    EXPECT_EQ(facts.at("step"), 120);
    EXPECT_THAT(text_of(scratch.path()), HasSubstr(std::string(one.shown) + " (because), step 120"));
  }
}

TEST(Status, OfARunThatHasNotWrittenAnythingOrWroteNonsense) {
  const ScratchFolder scratch;
  { RunFolder::open(scratch.path(), {}, kNow); }
  EXPECT_EQ(status_of_run(scratch.path()).at("step"), 0);
  runtime::put(scratch / "ledger.jsonl", R"({"step":"x","view":-1,"micro_batches":[1,{"rank":{}}]})"
                                         "\n");
  runtime::put(scratch / "metrics.jsonl", "{\"step\":7,\"loss\":null}\n{\"step\":");
  std::filesystem::create_directories(scratch / "checkpoints/step-00000007");
  EXPECT_EQ(status_of_run(scratch.path()).at("step"), 7);
  EXPECT_EQ(status_of_run(scratch.path()).at("view"), 0);
  EXPECT_THAT(text_of(scratch.path()), HasSubstr("step 7 is damaged"));
}

TEST(Status, OfWhatIsNoRun) {
  const ScratchFolder scratch;
  std::ostringstream out;
  EXPECT_THROW(status(scratch / "absent", true, out), runtime::UserError);
  EXPECT_THROW(status(scratch.path(), true, out), runtime::UserError);
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace cadre::launch
