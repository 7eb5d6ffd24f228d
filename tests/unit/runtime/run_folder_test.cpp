#include "runtime/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/term_journal.h"
#include "tests/unit/runtime/small_disk.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const UtcTime kNow{std::chrono::seconds(1'767'225'600)};
const UtcTime kLater = kNow + std::chrono::minutes(1);

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

std::string opening_error(const fs::path& path, const OpeningOptions& options = {}) {
  return message_of([&] { RunFolder::open(path, options, kNow); });
}

// A run that ended with this status.
void leave_run(const fs::path& path, RunStatus status) {
  RunFolder folder = RunFolder::open(path, {}, kNow);
  RunRecord record = folder.record();
  record.status = status;
  record.max_steps = 9;
  record.receipt = {{"seed", 1}};
  folder.write(record, kLater);
}

TEST(RunFolder, ANewOneIsLaidOut) {
  const TestFolder scratch;
  const fs::path path = scratch / "outputs/one";
  {
    const RunFolder folder = RunFolder::open(path, {}, kNow);
    EXPECT_EQ(folder.opening(), Opening::kNew);
    EXPECT_THAT(folder.record().run_id, testing::MatchesRegex("20260101T000000-[0-9a-f]+"));
    EXPECT_EQ(folder.record().run_id.size(), 24u);
    EXPECT_EQ(folder.record().started, "2026-01-01T00:00:00.000Z");
    EXPECT_EQ(folder.record().starts, 1u);
    for (const auto& part : {folder.checkpoints(), folder.logs()}) EXPECT_TRUE(fs::is_directory(part));
    const FolderState state = look_at_run_folder(path);
    EXPECT_EQ(state.status(), "running");
    EXPECT_EQ(state.holder.value().pid, ::getpid());
  }
  const FolderState state = look_at_run_folder(path);
  EXPECT_EQ(state.status(), "interrupted");
  EXPECT_TRUE(state.is_unfinished());
  EXPECT_FALSE(state.holder);
}

TEST(RunFolder, TheRecordComesBack) {
  const TestFolder scratch;
  leave_run(scratch.path(), RunStatus::kFailed);
  const RunRecord record = look_at_run_folder(scratch.path()).record.value();
  EXPECT_EQ(record.status, RunStatus::kFailed);
  EXPECT_EQ(record.max_steps, 9u);
  EXPECT_EQ(record.receipt.at("seed").as_int64(), 1);
  EXPECT_EQ(record.started, "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(record.updated, "2026-01-01T00:01:00.000Z");
}

TEST(RunFolder, AnUnfinishedRunGoesOn) {
  for (const RunStatus status : {RunStatus::kRunning, RunStatus::kFailed, RunStatus::kStopped}) {
    const TestFolder scratch;
    leave_run(scratch.path(), status);
    const RunRecord before = look_at_run_folder(scratch.path()).record.value();
    put(scratch / "metrics.jsonl", "{}\n");
    const RunFolder folder = RunFolder::open(scratch.path(), {}, kLater);
    EXPECT_EQ(folder.opening(), Opening::kResume);
    EXPECT_EQ(folder.record().run_id, before.run_id);
    EXPECT_EQ(folder.record().started, before.started);
    EXPECT_EQ(folder.record().starts, 2u);
    EXPECT_EQ(folder.record().status, RunStatus::kRunning);
    EXPECT_EQ(get(scratch / "metrics.jsonl"), "{}\n");
  }
}

TEST(RunFolder, AnUnfinishedRunIsNotLostByChance) {
  const TestFolder scratch;
  leave_run(scratch.path(), RunStatus::kStopped);
  EXPECT_THAT(opening_error(scratch.path(), {.resume = false}),
              AllOf(HasSubstr("unfinished run (stopped)"), HasSubstr("--overwrite_output_dir")));
  EXPECT_EQ(look_at_run_folder(scratch.path()).status(), "stopped");
}

TEST(RunFolder, ACoordinatorOfAnEarlierStartIsWaitedFor) {
  const TestFolder scratch;
  leave_run(scratch.path(), RunStatus::kRunning);
  {
    const TermJournal journal(scratch.path(), 1);
    EXPECT_THAT(opening_error(scratch.path(), {.overwrite = true, .coordinator_limit = std::chrono::milliseconds(-1)}),
                HasSubstr("the coordinator of an earlier start still works in this folder"));
    EXPECT_TRUE(fs::exists(scratch / "run.json"));
  }
  EXPECT_EQ(RunFolder::open(scratch.path(), {}, kLater).opening(), Opening::kResume);
}

TEST(RunFolder, ARecordIsPutBackAsItWas) {
  const TestFolder scratch;
  leave_run(scratch.path(), RunStatus::kStopped);
  const std::string before = read_file(scratch / "run.json", 1 << 16);
  const RunRecord record = *look_at_run_folder(scratch.path()).record;
  RunFolder folder = RunFolder::open(scratch.path(), {}, kLater + std::chrono::minutes(1));
  folder.put_back(record);
  EXPECT_EQ(read_file(scratch / "run.json", 1 << 16), before);
}

TEST(RunFolder, AFinishedRunIsNeverOverwrittenUnasked) {
  const TestFolder scratch;
  leave_run(scratch.path(), RunStatus::kSucceeded);
  for (const bool resume : {true, false}) {
    EXPECT_THAT(opening_error(scratch.path(), {.resume = resume}),
                AllOf(HasSubstr("finished run"), HasSubstr("--overwrite_output_dir")));
  }
  EXPECT_TRUE(look_at_run_folder(scratch.path()).is_finished());
}

TEST(RunFolder, OverwritingRemovesWhatARunLeavesAndNothingElse) {
  const TestFolder scratch;
  leave_run(scratch.path(), RunStatus::kSucceeded);
  fs::create_directories(scratch / "checkpoints/step-00000001");
  for (const char* name : {"metrics.jsonl", "adapter_model.safetensors", "model-00001-of-00002.safetensors",
                           "model.safetensors.index.json", "journal.3.jsonl", "notes.txt", "model-card.md"}) {
    put(scratch / name, "x");
  }
  const std::string before = look_at_run_folder(scratch.path()).record->run_id;
  const RunFolder folder = RunFolder::open(scratch.path(), {.overwrite = true}, kLater);
  EXPECT_EQ(folder.opening(), Opening::kOverwrite);
  EXPECT_NE(folder.record().run_id, before);
  EXPECT_EQ(folder.record().starts, 1u);
  EXPECT_TRUE(folder.record().receipt.empty());
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(scratch.path())) names.push_back(entry.path().filename());
  EXPECT_THAT(names,
              testing::UnorderedElementsAre(".lock", "checkpoints", "logs", "model-card.md", "notes.txt", "run.json"));
  EXPECT_TRUE(fs::is_empty(scratch / "checkpoints"));
}

TEST(RunFolder, SomebodyElsesFolderIsRefusedAndLeftAsItWas) {
  for (const bool overwrite : {false, true}) {
    const TestFolder scratch;
    put(scratch / "thesis.tex", "x");
    EXPECT_THAT(opening_error(scratch.path(), {.overwrite = overwrite}), HasSubstr("found \"thesis.tex\""));
    EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 1);
  }
}

TEST(RunFolder, AStartThatDiedBeforeItsRecordIsANewOne) {
  const TestFolder scratch;
  put(scratch / ".lock", "{\"pid\":1}");
  put(scratch / ".cadre-12-0.tmp", "{");
  EXPECT_EQ(RunFolder::open(scratch.path(), {}, kNow).opening(), Opening::kNew);
  EXPECT_FALSE(fs::exists(scratch / ".cadre-12-0.tmp"));
}

TEST(RunFolder, ASecondRunOnTheSameFolderIsToldThePid) {
  const TestFolder scratch;
  const RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
  for (const OpeningOptions options :
       {OpeningOptions{}, OpeningOptions{.resume = false}, OpeningOptions{.overwrite = true}}) {
    EXPECT_THAT(opening_error(scratch.path(), options), HasSubstr(say("pid ", ::getpid(), " on ")));
  }
  EXPECT_EQ(look_at_run_folder(scratch.path()).status(), "running");
}

TEST(RunFolder, TheLockGoesWithTheProcess) {
  const TestFolder scratch;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      const RunFolder folder = RunFolder::open(scratch.path(), {}, kNow);
      [[maybe_unused]] const auto told = ::write(ready[1], "x", 1);
      ::pause();
    } catch (const UserError&) {
    }
    ::_exit(1);
  }
  ::close(ready[1]);  // so that the reading below ends when the child does
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(look_at_run_folder(scratch.path()).holder.value().pid, child);
  EXPECT_THAT(opening_error(scratch.path()), HasSubstr(say("pid ", child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(look_at_run_folder(scratch.path()).status(), "interrupted");
  EXPECT_EQ(RunFolder::open(scratch.path(), {}, kNow).opening(), Opening::kResume);
  ::close(ready[0]);
}

TEST(RunFolder, PathsThatCannotBeAreTheUsersToMend) {
  const TestFolder scratch;
  put(scratch / "file", "");
  EXPECT_THAT(opening_error(scratch / "file"), HasSubstr("expected a folder, found a file"));
  EXPECT_THAT(opening_error(scratch / "file/below"), HasSubstr("file/below"));
  EXPECT_THAT(opening_error("/proc/nothing/here"), HasSubstr("output_dir cannot be made"));
  EXPECT_EQ(look_at_run_folder(scratch / "absent").status(), "absent");
}

TEST(RunFolder, ADamagedRecordIsNamed) {
  const TestFolder scratch;
  const struct {
    const char *text, *expected;
  } cases[] = {{"", "not JSON"},
               {"{\"status\":\"running\"", "not JSON"},
               {"[]", "expected an object"},
               {"{}", "expected a \"status\""},
               {"{\"status\":\"great\"}", "found \"great\""},
               {"{\"status\":7}", "expected a \"status\""}};
  for (const auto& one : cases) {
    put(scratch / "run.json", one.text);
    EXPECT_THAT(opening_error(scratch.path()), AllOf(HasSubstr("run.json: "), HasSubstr(one.expected))) << one.text;
  }
  put(scratch / "run.json", R"({"status":"failed","starts":"x","max_steps":-1,"receipt":3,"run_id":{}})");
  const RunRecord record = look_at_run_folder(scratch.path()).record.value();
  EXPECT_EQ(record.status, RunStatus::kFailed);
  EXPECT_EQ(record.starts + record.max_steps, 0u);
}

TEST(RunFolder, AFullOrReadOnlyDiskIsTheUsersToMendAtTheStart) {
  SmallDisk disk("size=4k,nr_inodes=3");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  EXPECT_THAT(opening_error(disk.path() / "run"), HasSubstr("No space left on device"));
  if (!disk.make_read_only()) GTEST_SKIP() << "the tmpfs cannot be made read-only";
  EXPECT_THAT(opening_error(disk.path() / "other"), HasSubstr("Read-only file system"));
}

TEST(RunFolder, AFullDiskKeepsTheOldRecord) {
  SmallDisk disk("size=16k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  RunFolder folder = RunFolder::open(disk.path() / "run", {}, kNow);
  RunRecord record = folder.record();
  record.receipt["text"] = std::string(50'000, 'x');
  EXPECT_THROW(folder.write(record, kLater), RunError);
  EXPECT_EQ(look_at_run_folder(folder.path()).record->updated, iso_time(kNow));
  EXPECT_EQ(folder.record().updated, iso_time(kNow));
}

}  // namespace
}  // namespace cadre::runtime
