#include "runtime/term_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <bit>
#include <fstream>

#include "runtime/crc32c.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

boost::json::object entry(const char* event, std::uint64_t step, std::uint64_t generation = 0, std::uint64_t view = 1) {
  return {{"event", event}, {"step", step}, {"reason", ""}, {"generation", generation}, {"view", view}};
}

// RFC 3720, B.4, and the check value of the CRC catalogues.
TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST(TermJournal, EveryFlippedByteIsSeen) {
  const std::string line = print_journal_line(entry("commit", 7));
  EXPECT_EQ(parse_journal_line(line), entry("commit", 7));
  for (std::size_t at = 0; at < line.size(); ++at) {
    std::string flipped = line;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_EQ(parse_journal_line(flipped), std::nullopt) << at;
    EXPECT_EQ(parse_journal_line(line.substr(0, at)), std::nullopt) << at;
  }
}

TEST(TermJournal, WhatAllTermsWroteIsKnown) {
  TestFolder folder;
  EXPECT_EQ(read_terms(folder.path()).last_term, 0U);
  {
    TermJournal first(folder.path(), 1);
    boost::json::object term = entry("term", 0), view = entry("view", 0), evaluation = entry("evaluation", 2);
    term["run_id"] = "a run";
    view["members"] = boost::json::array{{{"rank", 0}, {"incarnation", 1}}, {{"rank", 3}, {"incarnation", 2}}};
    evaluation["best_step"] = 2;
    evaluation["loss"] = 0.1;
    evaluation["bits"] = boost::json::array{std::bit_cast<std::int64_t>(0.1)};
    for (const auto& line : {term, view, entry("commit", 1), entry("commit", 2), evaluation, entry("checkpoint", 2)}) {
      first.append(line, Durability::kDisk);
    }
    first.append(entry("commit", 3), Durability::kKernel);
  }
  TermJournal second(folder.path(), 2);
  second.append(entry("rollback", 2, 1, 4), Durability::kDisk);
  const TermHistory history = read_terms(folder.path());
  EXPECT_EQ(history.last_term, 2U);
  EXPECT_EQ(history.run_id, "a run");
  EXPECT_EQ(history.generation, 1U);
  EXPECT_EQ(history.view, 4U);
  EXPECT_EQ(history.committed, 2U);
  EXPECT_EQ(history.best_step, 2);
  EXPECT_EQ(history.best_loss, 0.1);
  EXPECT_THAT(history.checkpoints, ElementsAre(2));
  EXPECT_THAT(history.incarnations, ElementsAre(Pair(0, 1), Pair(3, 2)));
  EXPECT_EQ(history.last_event, "rollback");
  EXPECT_THAT(history.problems, IsEmpty());
}

boost::json::object term_of(const char* launch) {
  boost::json::object term = entry("term", 0);
  term["launch"] = launch;
  return term;
}

TEST(TermHistory, WhoIsThereIsKnownOfTheSameStartOnly) {
  TermHistory history;
  boost::json::object view = entry("view", 0), lost = entry("lost", 2);
  view["members"] = boost::json::array{{{"rank", 0}, {"incarnation", 1}},
                                       {{"rank", 1}, {"incarnation", 4}, {"pid", 4711}},
                                       {{"rank", 3}, {"incarnation", 2}}};
  lost["rank"] = 1;
  history.take(term_of("one"));
  history.take(view);
  EXPECT_THAT(history.members, ElementsAre(Pair(0, Awaited{1, 0}), Pair(1, Awaited{4, 4711}), Pair(3, Awaited{2, 0})));
  history.take(lost);
  history.take(term_of("one"));
  EXPECT_THAT(history.members, ElementsAre(Pair(0, Awaited{1, 0}), Pair(3, Awaited{2, 0})));
  history.take(term_of("two"));
  EXPECT_THAT(history.members, IsEmpty());
  EXPECT_THAT(history.incarnations, ElementsAre(Pair(0, 1), Pair(1, 4), Pair(3, 2)));
  EXPECT_EQ(history.launch, "two");
}

TEST(TermHistory, TheStateIsHeldInTheViewOfTheLastCommitOrLoad) {
  TermHistory history;
  const auto take_view = [&](std::uint64_t number, bool load) {
    boost::json::object view = entry("view", 0);
    view["view"] = number;
    view["load"] = load;
    view["members"] =
        boost::json::array{{{"rank", 2}, {"incarnation", number}, {"host", "a host"}, {"island", 7}, {"pid", 4}}};
    if (number == 2) view["members"].at(0).as_object()["is_leaving"] = true;
    history.take(view);
  };
  const auto take_commit = [&](std::uint64_t number) {
    boost::json::object commit = entry("commit", number);
    commit["view"] = number;
    history.take(commit);
  };
  take_view(1, true);
  EXPECT_EQ(history.resident_in.stamp.view, 1U);
  EXPECT_FALSE(history.is_settled);
  take_commit(1);
  EXPECT_TRUE(history.is_settled);
  take_view(2, false);
  EXPECT_EQ(history.resident_in.stamp.view, 1U) << "who came in may have nothing yet";
  EXPECT_EQ(history.last_view.stamp.view, 2U);
  take_commit(2);
  EXPECT_EQ(history.resident_in, history.last_view);
  const Member expected{.rank = 2, .incarnation = 2, .host = "a host", .island = 7, .is_leaving = true};
  EXPECT_THAT(history.resident_in.members, ElementsAre(expected));
  take_view(3, true);
  EXPECT_EQ(history.resident_in.stamp.view, 3U);
  EXPECT_FALSE(history.is_settled);
  history.take(term_of("another"));
  EXPECT_EQ(history.resident_in.size(), 0U);
}

// The next start of the run goes on from a checkpoint before these commits, and must see that they need another
// generation.
TEST(TermHistory, ATermThatDiedBeforeItTookOverTakesNoCommitBack) {
  TermHistory history;
  history.take(term_of("one"));
  history.take(entry("commit", 1));
  history.take(entry("commit", 2));
  history.take(term_of("one"));
  EXPECT_EQ(history.committed, 2U);
  boost::json::object later = term_of("two");
  later["generation"] = 1;
  history.take(later);
  EXPECT_EQ(history.committed, 0U);
}

TEST(TermHistory, AnEndThatNobodyHasHeardOfIsKnown) {
  TermHistory history;
  boost::json::object end = entry("succeeded", 9);
  end["of"] = "step 9 (the last)";
  end["sha256"] = boost::json::object{{"adapter_model.safetensors", "00ff"}};
  history.take(term_of("one"));
  history.take(end);
  history.take(term_of("one"));
  ASSERT_TRUE(history.end.has_value());
  EXPECT_EQ(history.end->outcome, RunOutcome::kSucceeded);
  EXPECT_EQ(history.end->step, 9U);
  EXPECT_EQ(history.end->result_of, "step 9 (the last)");
  EXPECT_THAT(history.end->result_sha256, ElementsAre(Pair("adapter_model.safetensors", "00ff")));
  boost::json::object failed = entry("failed", 9);
  failed["user_can_mend"] = true;
  history.take(failed);
  EXPECT_EQ(history.end->outcome, RunOutcome::kUserError);
  history.take(term_of("two"));
  EXPECT_FALSE(history.end.has_value());
}

TEST(TermJournal, ATornLastLineIsLeftOut) {
  TestFolder folder;
  std::string whole;
  {
    TermJournal journal(folder.path(), 1);
    for (std::uint64_t step = 1; step <= 3; ++step) journal.append(entry("commit", step), Durability::kKernel);
    whole = read_file(journal.path(), 1 << 20);
  }
  const std::size_t line = whole.size() / 3;
  for (std::size_t size = 2 * line; size < whole.size(); ++size) {
    write_file_atomically(folder.path() / "journal.term-1.jsonl", whole.substr(0, size));
    const TermHistory history = read_terms(folder.path());
    EXPECT_EQ(history.committed, 2U) << size;
    EXPECT_EQ(history.problems.size(), size == 2 * line ? 0U : 1U) << size;
  }
  // Damage before the end is said, and nothing behind it is believed.
  whole[line + 12] ^= 1;
  write_file_atomically(folder.path() / "journal.term-1.jsonl", whole);
  const TermHistory history = read_terms(folder.path());
  EXPECT_EQ(history.committed, 1U);
  EXPECT_THAT(history.problems, ElementsAre(HasSubstr("journal.term-1.jsonl: line 2: its checksum")));
}

TEST(TermJournal, ATermHasOneCoordinator) {
  TestFolder folder;
  {
    TermJournal first(folder.path(), 1);
    EXPECT_THROW(TermJournal(folder.path(), 1), UserError);
    EXPECT_THROW(TermJournal(folder.path(), 2), UserError);
  }
  EXPECT_THROW(TermJournal(folder.path(), 1), UserError);
  TermJournal second(folder.path(), 2);
  EXPECT_TRUE(is_term_journal(second.path().filename().string()));
}

TEST(TermJournal, TheNewestTermSaysWhetherItsCoordinatorIsAlive) {
  const TestFolder scratch;
  EXPECT_FALSE(is_coordinator_alive(scratch.path()));
  {
    const TermJournal journal(scratch.path(), 1);
    EXPECT_TRUE(is_coordinator_alive(scratch.path()));
  }
  EXPECT_FALSE(is_coordinator_alive(scratch.path()));
}

TEST(TermJournal, WhatWasAllocatedAheadIsGivenBack) {
  const TestFolder scratch;
  struct stat info = {};
  {
    TermJournal journal(scratch.path(), 1);
    journal.append(entry("commit", 1), Durability::kDisk);
  }
  ASSERT_EQ(::stat((scratch / "journal.term-1.jsonl").c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 1 << 16);
}

TEST(TermJournal, OtherNamesAreNoTerms) {
  for (const char* name : {"journal.jsonl", "journal.term-.jsonl", "journal.term-0.jsonl", "journal.term-x.jsonl",
                           "journal.term-1.jsonl~", "journal.term-99999999999999999999.jsonl"}) {
    EXPECT_FALSE(is_term_journal(name)) << name;
  }
}

}  // namespace
}  // namespace cadre::runtime
