#include "launch/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <sstream>

#include "launch/roster.h"
#include "runtime/error.h"
#include "runtime/json_lines.h"
#include "runtime/run_folder.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::launch {
namespace {

using runtime::RunFolder;
using runtime::RunStatus;
using runtime::TestFolder;
using testing::AllOf;
using testing::HasSubstr;

const runtime::UtcTime kNow{std::chrono::seconds(1'767'225'600)};

boost::json::object joined(int rank, int view, int pid = 0) {
  return {{"event", "joined"}, {"rank", rank},
          {"incarnation", 1},  {"host", rank < 2 ? "a" : "node-b"},
          {"island", 0},       {"pid", pid > 0 ? pid : 41 + rank},
          {"view", view}};
}

// Rank 1 is lost and about to come back.
void work(RunFolder& folder) {
  runtime::RunRecord record = folder.record();
  record.max_steps = 300;
  folder.write(record, kNow);
  runtime::JsonLinesWriter(folder.metrics()).write({{"step", 118}, {"loss", 2.25}});
  runtime::JsonLinesWriter(folder.metrics()).write({{"step", 118}, {"eval_loss", 2.5}});
  runtime::JsonLinesWriter(folder.ledger())
      .write({{"step", 120}, {"view", 3}, {"micro_batches", {{{"rank", 0}, {"samples", {1}}}, {{"rank", 0}}}}});
  runtime::JsonLinesWriter journal(folder.journal());
  journal.write({{"event", "started"}, {"starts", folder.record().starts}, {"host", "a"}, {"pid", 40}, {"view", 0}});
  for (int rank = 0; rank < 3; ++rank) journal.write(joined(rank, 0));
  journal.write({{"event", "view"}, {"view", 2}, {"members", {joined(0, 2), joined(1, 2), joined(2, 2)}}});
  journal.write({{"event", "lost"}, {"rank", 1}, {"view", 2}});
  journal.write({{"event", "view"}, {"view", 3}, {"members", {joined(0, 3), joined(2, 3)}}});
  journal.write(joined(1, 3, 51));
  for (int event = 0; event < 8; ++event) {
    journal.write(
        {{"event", "checkpoint"}, {"number", event}, {"step", event}, {"reason", "every\033step"}, {"view", 3}});
  }
}

std::string text_of(const std::filesystem::path& run) {
  std::ostringstream out;
  EXPECT_EQ(status(run, false, out), 0);
  return out.str();
}

TEST(Status, OfALiveRun) {
  const TestFolder scratch;
  RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
  work(folder);
  std::ostringstream out;
  EXPECT_EQ(status(scratch.path(), true, out), 0);
  const boost::json::object facts = boost::json::parse(out.str()).as_object();
  std::vector<std::string> keys;
  for (const auto& item : facts) keys.emplace_back(item.key());
  EXPECT_THAT(keys, testing::ElementsAre("status", "step", "max_steps", "view", "coordinator", "ranks", "drained_hosts",
                                         "events"));
  EXPECT_EQ(facts.at("status"), "running");
  EXPECT_EQ(facts.at("step"), 120);
  EXPECT_EQ(facts.at("max_steps"), 300);
  EXPECT_EQ(facts.at("view"), 3);
  EXPECT_EQ(facts.at("coordinator"), (boost::json::object{{"host", "a"}, {"pid", 40}}));
  const boost::json::array& ranks = facts.at("ranks").as_array();
  ASSERT_EQ(ranks.size(), 3u);
  const auto row = [](int rank, const char* host, int pid, const char* state, int micro_batches) {
    return boost::json::object{
        {"rank", rank}, {"host", host}, {"pid", pid}, {"state", state}, {"micro_batches", micro_batches}};
  };
  EXPECT_EQ(ranks[0], row(0, "a", 41, "live", 2));
  EXPECT_EQ(ranks[1], row(1, "a", 51, "joining", 0));
  EXPECT_EQ(ranks[2], row(2, "node-b", 43, "live", 0));
  const boost::json::array& events = facts.at("events").as_array();
  ASSERT_EQ(events.size(), 10u);
  EXPECT_EQ(events[0].at("event"), "view");
  EXPECT_EQ(events[9].at("number"), 7);
  EXPECT_THAT(text_of(scratch.path()), AllOf(HasSubstr(": running, step 120 of 300, loss 2.25, validation loss 2.5"),
                                             HasSubstr("coordinator  40 on a\n"), HasSubstr("checkpoints  none"),
                                             HasSubstr("\n  rank  host    pid  state    micro-batches\n"
                                                       "     0  a        41  live                 2\n"
                                                       "     1  a        51  joining              0\n"
                                                       "     2  node-b   43  live                 0\n"),
                                             HasSubstr("step 7  checkpoint  every\\x1bstep\n")));
}

TEST(Status, OfARunOfWhichHostsWereDrainedAndJoined) {
  const TestFolder scratch;
  RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
  work(folder);
  runtime::JsonLinesWriter journal(folder.journal());
  journal.write({{"event", "drained"}, {"rank", 2}, {"host", "10.0.0.2"}});
  const auto state_of = [&](std::size_t row) { return status_of_run(scratch.path()).at("ranks").at(row).at("state"); };
  EXPECT_EQ(state_of(2), "drained");
  EXPECT_EQ(status_of_run(scratch.path()).at("drained_hosts"), boost::json::array{"10.0.0.2"});
  EXPECT_THAT(text_of(scratch.path()), HasSubstr("\n  drained      10.0.0.2; "));
  journal.write({{"event", "invited"}, {"host", "c"}, {"ranks", {2, 3}}});
  EXPECT_EQ(status_of_run(scratch.path()).at("drained_hosts"), boost::json::array());
  EXPECT_EQ(state_of(2), "joining");
  EXPECT_EQ(state_of(3), "joining");
  journal.write({{"event", "left_out"}, {"rank", 3}, {"reason", "no route"}});
  EXPECT_EQ(state_of(3), "left out");
  const Roster roster = read_roster(scratch.path(), folder.record().starts);
  EXPECT_EQ(roster.ranks().at(3).left_out, "no route");
  journal.write({{"event", "drained"}, {"rank", -1}, {"host", 7}});
  journal.write({{"event", "invited"}, {"ranks", {-1, "x", {}}}});
  status_of_run(scratch.path());
}

TEST(Status, AfterARun) {
  const struct {
    RunStatus status;
    const char *event, *shown, *rank_state;
  } cases[] = {{RunStatus::kRunning, nullptr, "interrupted", "lost"},
               {RunStatus::kSucceeded, "succeeded", "succeeded", "drained"},
               {RunStatus::kFailed, "failed", "failed", "drained"},
               {RunStatus::kFailed, nullptr, "failed", "lost"},
               {RunStatus::kStopped, "stopped", "stopped", "drained"}};
  for (const auto& one : cases) {
    const TestFolder scratch;
    {
      RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
      work(folder);
      if (one.event != nullptr) runtime::JsonLinesWriter(folder.journal()).write({{"event", one.event}, {"view", 3}});
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

// Until its coordinator has begun, nothing says which processes a resumed run has; those of the start before are gone.
TEST(Status, OfARunThatResumes) {
  const TestFolder scratch;
  {
    RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
    work(folder);
  }
  RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
  boost::json::object facts = status_of_run(scratch.path());
  EXPECT_EQ(facts.at("ranks").as_array().size(), 0u);
  EXPECT_TRUE(facts.at("coordinator").at("pid").is_null());
  EXPECT_THAT(text_of(scratch.path()), HasSubstr("no rank has joined yet"));
  runtime::JsonLinesWriter journal(folder.journal());
  journal.write({{"event", "resumed"}, {"starts", folder.record().starts}, {"host", "c"}, {"pid", 60}, {"view", 3}});
  journal.write(joined(0, 3));
  // In the middle of this start another coordinator takes over.
  journal.write({{"event", "resumed"}, {"starts", folder.record().starts}, {"host", "c"}, {"pid", 61}, {"view", 3}});
  facts = status_of_run(scratch.path());
  EXPECT_EQ(facts.at("coordinator").at("pid"), 61);
  ASSERT_EQ(facts.at("ranks").as_array().size(), 1u);
  EXPECT_EQ(facts.at("ranks").at(0).at("state"), "joining");
}

TEST(Status, OfThousandsAPersonSeesThoseThatAreMissing) {
  const TestFolder scratch;
  RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
  runtime::JsonLinesWriter journal(folder.journal());
  journal.write({{"event", "started"}, {"starts", folder.record().starts}});
  boost::json::array members;
  for (int rank = 0; rank < 2000; ++rank) members.push_back(joined(rank, 1));
  journal.write({{"event", "view"}, {"view", 1}, {"members", members}});
  journal.write({{"event", "lost"}, {"rank", 1234}});
  EXPECT_EQ(status_of_run(scratch.path()).at("ranks").as_array().size(), 2000u);
  EXPECT_THAT(text_of(scratch.path()), AllOf(HasSubstr("  1234  node-b  1275  lost"), HasSubstr("and 1999 more")));
}

// Also one that has never joined, and one that came all the same.
TEST(Status, OfRanksThatAreLeftOut) {
  const TestFolder scratch;
  RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
  runtime::JsonLinesWriter journal(folder.journal());
  journal.write({{"event", "started"}, {"starts", folder.record().starts}});
  for (const int rank : {0, 1}) journal.write(joined(rank, 0));
  journal.write({{"event", "lost"}, {"rank", 1}});
  for (const int rank : {0, 1, 2}) journal.write({{"event", "left_out"}, {"rank", rank}});
  journal.write(joined(0, 0));
  std::vector<std::string> states;
  const boost::json::object facts = status_of_run(scratch.path());
  for (const boost::json::value& rank : facts.at("ranks").as_array()) {
    states.emplace_back(rank.at("state").as_string());
  }
  EXPECT_THAT(states, testing::ElementsAre("joining", "left out", "left out"));
}

TEST(Status, OfARunThatHasNotWrittenAnythingOrWroteNonsense) {
  const TestFolder scratch;
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
  const TestFolder scratch;
  std::ostringstream out;
  EXPECT_THROW(status(scratch / "absent", true, out), runtime::UserError);
  EXPECT_THROW(status(scratch.path(), true, out), runtime::UserError);
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace cadre::launch
