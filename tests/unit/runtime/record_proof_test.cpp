#include "runtime/record_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <memory>

#include "runtime/json_lines.h"
#include "runtime/term_journal.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

using boost::json::array;
using boost::json::object;
using testing::HasSubstr;

// Writes what a coordinator of two ranks writes: three steps an epoch, of two micro-batches of one sample each.
class Records {
 public:
  explicit Records(const std::filesystem::path& folder, bool after_empty_term = false) : folder_(folder) {
    if (after_empty_term) empty_term();
    begin_term("a launch", 0);
  }

  void begin_term(const std::string& launch, std::uint64_t step) {
    begin_silent_term(launch, step);
    entry({{"event", term_ == 1 ? "started" : "resumed"}, {"step", step}});
    forget_after(step);
  }
  // Of a coordinator that finds that the run has ended.
  void begin_silent_term(const std::string& launch, std::uint64_t step) {
    journal_.reset();
    journal_ = std::make_unique<TermJournal>(folder_, ++term_);
    entry({{"event", "term"}, {"step", step}, {"launch", launch}}, false);
  }
  // Of a coordinator that was killed at once.
  void empty_term() {
    journal_.reset();
    TermJournal(folder_, ++term_);
  }
  void new_view() {
    ++view;
    entry({{"event", "view"}, {"step", done}, {"members", {{{"rank", 0}}, {{"rank", 1}}}}});
  }
  void roll_back(std::uint64_t step) {
    ++generation;
    entry({{"event", "rollback"}, {"step", step}});
    forget_after(step);
  }
  void commit(bool in_ledger = true) {
    const std::uint64_t sample = done % 3 * 2;
    commit_with({array{0, view, {sample}}, array{1, view, {sample + 1}}}, done + 1);
    ++done;
    if (in_ledger) {
      ledger({{{"micro_batch", 0}, {"rank", 0}, {"view", view}, {"samples", {sample}}},
              {{"micro_batch", 1}, {"rank", 1}, {"view", view}, {"samples", {sample + 1}}}});
    }
  }
  void commit_with(const array& micro_batches, std::uint64_t step) {
    entry({{"event", "commit"}, {"step", step}, {"micro_batches", micro_batches}}, false);
  }
  void ledger(const array& micro_batches) {
    JsonLinesWriter(folder_ / "ledger.jsonl")
        .write({{"step", done}, {"generation", generation}, {"view", view}, {"micro_batches", micro_batches}});
  }
  void end(const char* event = "succeeded") { entry({{"event", event}, {"step", done}}); }
  void entry(object fields, bool for_people = true) {
    fields["generation"] = generation;
    fields["view"] = view;
    fields["number"] = ++number_;
    journal_->append(fields, Durability::kKernel);
    if (for_people) JsonLinesWriter(folder_ / "journal.jsonl").write(fields);
  }

  std::uint64_t done = 0, generation = 0, view = 0;

 private:
  void forget_after(std::uint64_t step) {
    done = step;
    cut_json_lines(folder_ / "ledger.jsonl",
                   [&](const object& line) { return line.at("step").to_number<std::uint64_t>() > step; });
  }

  std::filesystem::path folder_;
  std::unique_ptr<TermJournal> journal_;
  std::uint64_t term_ = 0, number_ = 0;
};

std::string problem_of(const std::filesystem::path& run, const ProofOptions& options = {.rows_of_epoch = 6}) {
  for (const Claim& claim : prove_records(run, options)) {
    if (!claim.problem.empty()) return claim.what + ": " + claim.problem;
  }
  return {};
}

// Falls back within a term, is taken over, and is started again from a checkpoint.
void write_eventful_run(const std::filesystem::path& folder) {
  Records records(folder);
  records.new_view();
  for (int step = 0; step < 4; ++step) records.commit();
  records.roll_back(2);
  records.new_view();
  for (int step = 0; step < 3; ++step) records.commit();
  records.begin_term("a launch", 5);
  records.new_view();
  records.commit();
  records.commit(false);  // the machine died here
  ++records.generation;
  records.begin_term("another", 3);
  records.new_view();
  for (int step = 0; step < 6; ++step) records.commit();
  records.end();
}

TEST(RecordProof, OfAnEventfulRun) {
  const TestFolder folder;
  write_eventful_run(folder.path());
  const std::vector<Claim> claims = prove_records(folder.path(), {.rows_of_epoch = 6, .final_step = 9});
  ASSERT_EQ(claims.size(), 3U);
  for (const Claim& claim : claims) EXPECT_EQ(claim.problem, "") << claim.what;
  EXPECT_THAT(claims[0].what, HasSubstr("3 terms, 15 commits, each once in its generation, 9 steps"));
  EXPECT_THAT(claims[1].what, HasSubstr("9 steps as they were committed, each micro-batch once; 18 samples"));
  EXPECT_THAT(problem_of(folder.path(), {.final_step = 10}), HasSubstr("they end at step 9, the run at 10"));
}

// A bit of each.
TEST(RecordProof, AnyByteThatIsDamagedIsFound) {
  const TestFolder folder;
  {
    Records records(folder.path());
    records.new_view();
    records.commit();
    ++records.generation;
    records.begin_term("another", 0);
    records.commit();
    records.end();
  }
  std::size_t missed = 0, bytes = 0;
  for (const char* name : {"journal.term-1.jsonl", "journal.term-2.jsonl", "ledger.jsonl", "journal.jsonl"}) {
    const std::string whole = get(folder / name);
    for (std::size_t at = 0; at < whole.size(); ++at, ++bytes) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      put(folder / name, damaged);
      if (!problem_of(folder.path()).empty()) continue;
      ++missed;
      ADD_FAILURE() << name << ": byte " << at << " of " << whole.substr(0, at) << "|" << whole.substr(at, 20);
      if (missed > 5) return;
    }
    put(folder / name, whole);
  }
  EXPECT_GT(bytes, 1000U);
  EXPECT_EQ(problem_of(folder.path()), "");
}

TEST(RecordProof, WhatACrashCutsOffIsNoDamageUnlessTheRunGoesOnToItsEnd) {
  const TestFolder folder;
  {
    Records records(folder.path());
    records.new_view();
    records.commit();
    records.commit(false);
  }
  const std::string whole = get(folder / "journal.term-1.jsonl");
  put(folder / "journal.term-1.jsonl", whole.substr(0, whole.size() - 1));  // only the line's end is missing
  EXPECT_THAT(problem_of(folder.path()), "");
  put(folder / "journal.term-1.jsonl", whole.substr(0, whole.size() - 9));
  EXPECT_EQ(problem_of(folder.path()), "");
  put(folder / "journal.term-1.jsonl", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(problem_of(folder.path()), HasSubstr("step 1 was never committed"));
}

TEST(RecordProof, ACoordinatorThatWasKilledAtOnceLeavesAnEmptyTerm) {
  const TestFolder folder;
  Records records(folder.path(), true);
  records.new_view();
  records.commit();
  records.empty_term();
  records.empty_term();
  records.begin_term("a launch", records.done);
  records.new_view();
  records.commit();
  records.end();
  EXPECT_EQ(problem_of(folder.path()), "");
  std::filesystem::remove(term_journal(folder.path(), 3));
  EXPECT_THAT(problem_of(folder.path()), HasSubstr("term 5 follows term 2"));
}

// The term journal has its end, and journal.jsonl has not.
TEST(RecordProof, ACoordinatorMayDieBeforeItHasSaidItsEnd) {
  const TestFolder folder;
  Records records(folder.path());
  records.new_view();
  records.commit();
  records.entry({{"event", "succeeded"}, {"step", records.done}}, false);
  EXPECT_EQ(problem_of(folder.path()), "");  // nobody has heard of it
  EXPECT_THAT(problem_of(folder.path(), {.final_step = 1}), HasSubstr("ends after 2 events, the term journals have"));
  records.begin_silent_term("a launch", 1);
  EXPECT_EQ(problem_of(folder.path(), {.final_step = 1}), "");
  records.begin_term("another", 1);
  records.new_view();
  EXPECT_EQ(problem_of(folder.path(), {.final_step = 1}), "");
}

// Only the end may be missing.
TEST(RecordProof, ATermThatHasEndedHasAllEventsBefore) {
  const TestFolder folder;
  Records records(folder.path());
  records.entry({{"event", "checkpoint"}, {"step", 0}}, false);
  records.entry({{"event", "stopped"}, {"step", 0}}, false);
  records.begin_term("another", 0);
  put(folder / "ledger.jsonl", "");
  EXPECT_THAT(problem_of(folder.path()), HasSubstr("line 2 is not what the term journals have"));
}

TEST(RecordProof, WhatIsNotSoIsSaid) {
  const struct {
    const char* problem;
    void (*write)(Records& records, const std::filesystem::path& folder);
  } cases[] = {
      {"line 5: expected a commit of step 2, found one of step 1",
       [](Records& records, const std::filesystem::path&) {
         records.commit();
         records.done = 0;
         records.commit(false);
       }},
      {"journal.term-2.jsonl: line 4: step 2 was committed twice in generation 0",
       [](Records& records, const std::filesystem::path&) {
         for (int step = 0; step < 2; ++step) records.commit();
         records.begin_term("another", 1);
         records.new_view();
         records.commit();
       }},
      {"line 4: step 1: rank 7 was no member of view 1",
       [](Records& records, const std::filesystem::path&) {
         records.commit_with({array{7, 1, array{0}}, array{1, 1, array{1}}}, 1);
       }},
      {"line 5: an entry after the term's end",
       [](Records& records, const std::filesystem::path&) {
         records.end("stopped");
         records.commit();
       }},
      {"step 1 was never committed",
       [](Records& records, const std::filesystem::path&) {
         records.done = 1;
         records.ledger({{{"micro_batch", 0}, {"rank", 0}, {"view", 1}, {"samples", {0}}}});
       }},
      {"step 1: expected micro-batch 1, found 0",
       [](Records& records, const std::filesystem::path&) {
         records.commit(false);
         records.ledger({{{"micro_batch", 0}, {"rank", 0}, {"view", 1}, {"samples", {0}}},
                         {{"micro_batch", 0}, {"rank", 1}, {"view", 1}, {"samples", {1}}}});
       }},
      {"step 1: sample 0 twice in an epoch",
       [](Records& records, const std::filesystem::path&) {
         records.commit(false);
         records.ledger({{{"micro_batch", 0}, {"rank", 0}, {"view", 1}, {"samples", {0, 0}}}});
       }},
      {"step 1 is not as it was committed",
       [](Records& records, const std::filesystem::path&) {
         records.commit(false);
         records.ledger({{{"micro_batch", 0}, {"rank", 0}, {"view", 1}, {"samples", {0}}},
                         {{"micro_batch", 1}, {"rank", 0}, {"view", 1}, {"samples", {1}}}});
       }},
      {"term 3 follows term 1",
       [](Records& records, const std::filesystem::path& folder) {
         for (int term = 2; term <= 3; ++term) records.begin_term("a launch", 0);
         std::filesystem::remove(folder / "journal.term-2.jsonl");
       }},
      {"line 3 is not what the term journals have",
       [](Records&, const std::filesystem::path& folder) {
         JsonLinesWriter(folder / "journal.jsonl").write({{"event", "checkpoint"}, {"step", 5}});
       }},
      {"not a record of cadre",
       [](Records& records, const std::filesystem::path&) {
         records.entry({{"event", "view"}, {"step", "four"}});
       }},
  };
  for (const auto& one : cases) {
    const TestFolder folder;
    Records records(folder.path());
    records.new_view();
    one.write(records, folder.path());
    if (!std::filesystem::exists(folder / "ledger.jsonl")) put(folder / "ledger.jsonl", "");
    EXPECT_THAT(problem_of(folder.path()), HasSubstr(one.problem));
  }
}

}  // namespace
}  // namespace cadre::runtime
