#include "runtime/record_proof.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "runtime/error.h"
#include "runtime/json_fields.h"
#include "runtime/json_lines.h"
#include "runtime/json_print.h"
#include "runtime/sha256.h"
#include "runtime/term_journal.h"

namespace cadre::runtime {
namespace {

using boost::json::array;
using boost::json::object;

// Records are read back, so that a field may be missing or of another kind: then Boost.JSON throws, and the line is
// said to be none of ours.
std::uint64_t number(const object& entry, const char* name) {
  return entry.at(name).to_number<std::uint64_t>();
}

// A step that was skipped is marked so, in a commit and in a line of the ledger.
bool is_skipped(const object& entry) {
  const boost::json::value* value = entry.if_contains("skipped");
  return value != nullptr && value->as_bool();
}

std::string digest_of(const object& step, const array& micro_batches) {
  return sha256_hex(
      json_line(array{number(step, "generation"), number(step, "view"), is_skipped(step), micro_batches}));
}

bool is_for_people(const std::string& event) {
  return event != "term" && event != "commit" && event != "evaluation" && event != "shards";
}

struct Contradiction : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The course of a run, from its terms' entries in their order. Contradiction: what does not hold.
class Course {
 public:
  void take(std::uint64_t term, const object& entry) {
    const std::string event = text_in(entry, "event");
    const std::uint64_t step = number(entry, "step"), generation = number(entry, "generation");
    const std::uint64_t view = number(entry, "view");
    require(!ended_in_.contains(term), "an entry after the term's end");
    require(generation >= generation_, say("generation ", generation, " after ", generation_));
    require(view >= view_, say("view ", view, " after ", view_));
    generation_ = generation;
    view_ = view;
    if (event == "term") {
      begin_term(term, step, text_in(entry, "launch"));
    } else if (event == "view") {
      std::set<std::uint64_t>& members = members_[view];
      require(members.empty(), say("view ", view, " twice"));
      for (const auto& member : entry.at("members").as_array()) members.insert(number(member.as_object(), "rank"));
    } else if (event == "rollback") {
      require(step <= done(), say("a rollback to step ", step, ", which is not there"));
      require(!highest_.contains(generation), "a rollback into a generation that has commits");
      digests_.resize(step - first_);
    } else if (event == "commit") {
      commit(step, entry, entry.at("micro_batches").as_array());
    } else if (event == "succeeded" || event == "stopped" || event == "failed") {
      ended_in_.insert(term);
    }
    if (is_for_people(event)) events_.push_back({term, entry_digest(entry)});
  }

  // Of a line of journal.jsonl, or the entry that it comes from.
  static std::string entry_digest(const object& entry) { return sha256_hex(json_line(entry)); }

  struct Event {
    std::uint64_t term;
    std::string digest;
  };

  std::uint64_t first() const { return first_; }
  std::uint64_t done() const { return first_ + digests_.size(); }
  std::uint64_t commits() const { return commits_; }
  const std::string& digest_of_step(std::uint64_t step) const { return digests_.at(step - first_ - 1); }
  const std::vector<Event>& events() const { return events_; }
  bool has_ended(std::uint64_t term) const { return ended_in_.contains(term); }
  std::uint64_t terms() const { return last_term_; }
  // The next term's coordinator died before it had written anything.
  void pass_empty_term() { ++last_term_; }

 private:
  static void require(bool holds, const std::string& problem) {
    if (!holds) throw Contradiction(problem);
  }

  void begin_term(std::uint64_t term, std::uint64_t step, const std::string& launch) {
    require(term == last_term_ + 1,
            last_term_ == 0 ? say("the first term is ", term) : say("term ", term, " follows term ", last_term_));
    if (!std::exchange(has_begun_, true)) {
      first_ = step;
    } else if (launch != launch_) {
      // The run was started again, from a checkpoint.
      require(step >= first_ && step <= done(), say("it goes on from step ", step, ", which is not there"));
      digests_.resize(step - first_);
    }
    last_term_ = term;
    launch_ = launch;
  }

  void commit(std::uint64_t step, const object& entry, const array& micro_batches) {
    require(has_begun_, "a commit before the term's beginning");
    require(step == done() + 1, say("expected a commit of step ", done() + 1, ", found one of step ", step));
    std::uint64_t& highest = highest_[generation_];
    require(step > highest, say("step ", step, " was committed twice in generation ", generation_));
    highest = step;
    ++commits_;
    require(!micro_batches.empty(), say("step ", step, " has no micro-batch"));
    for (const boost::json::value& one : micro_batches) {
      const auto rank = one.at(0).to_number<std::uint64_t>(), view = one.at(1).to_number<std::uint64_t>();
      const auto found = members_.find(view);
      require(found != members_.end() && found->second.contains(rank),
              say("step ", step, ": rank ", rank, " was no member of view ", view));
    }
    digests_.push_back(digest_of(entry, micro_batches));
  }

  std::uint64_t first_ = 0, generation_ = 0, view_ = 0, last_term_ = 0, commits_ = 0;
  bool has_begun_ = false;
  std::string launch_;
  std::vector<std::string> digests_;                          // of the steps after first_, as they count
  std::map<std::uint64_t, std::uint64_t> highest_;            // committed step of each generation
  std::map<std::uint64_t, std::set<std::uint64_t>> members_;  // of each view
  std::set<std::uint64_t> ended_in_;
  std::vector<Event> events_;
};

// Samples of the steps in their order: none twice before every one was used once.
class Samples {
 public:
  explicit Samples(std::uint64_t rows) : used_(rows) {}

  std::string take(std::uint64_t step, std::uint64_t row) {
    if (row >= used_.size()) return say("step ", step, ": sample ", row, " of ", used_.size());
    if (count_ == used_.size()) used_.assign(used_.size(), false), count_ = 0;
    if (used_[row]) return say("step ", step, ": sample ", row, " twice in an epoch");
    used_[row] = true;
    ++count_, ++total_;
    return {};
  }
  std::uint64_t total() const { return total_; }

 private:
  std::vector<bool> used_;
  std::uint64_t count_ = 0, total_ = 0;
};

std::string prove_line(const object& line, std::uint64_t expected, const Course& course, Samples* samples) {
  const std::uint64_t step = number(line, "step");
  if (step != expected) return say("expected step ", expected, ", found ", step);
  if (step > course.done()) return say("step ", step, " was never committed");
  array plain;
  for (const boost::json::value& item : line.at("micro_batches").as_array()) {
    const object& one = item.as_object();
    if (number(one, "micro_batch") != plain.size()) {
      return say("step ", step, ": expected micro-batch ", plain.size(), ", found ", number(one, "micro_batch"));
    }
    plain.push_back(array{one.at("rank"), one.at("view"), one.at("samples")});
    if (samples == nullptr) continue;
    for (const boost::json::value& sample : one.at("samples").as_array()) {
      const std::string problem = samples->take(step, sample.to_number<std::uint64_t>());
      if (!problem.empty()) return problem;
    }
  }
  if (digest_of(line, plain) == course.digest_of_step(step)) return {};
  return say("step ", step, " is not as it was committed");
}

Claim prove_ledger(const std::filesystem::path& run, const Course& course, const ProofOptions& options) {
  // A run that began in the middle of an epoch has only the rest of that one.
  const bool counts = options.rows_of_epoch && *options.rows_of_epoch > 0 && course.first() == 0;
  Samples samples(counts ? *options.rows_of_epoch : 0);
  std::uint64_t step = course.first(), skipped = 0;
  std::string problem;
  const std::string torn = visit_json_lines(run / "ledger.jsonl", [&](object&& line) {
    if (options.is_alive && step == course.done()) return false;
    problem = prove_line(line, ++step, course, counts ? &samples : nullptr);
    skipped += is_skipped(line);
    return problem.empty();
  });
  if (problem.empty()) problem = torn;
  if (problem.empty() && options.final_step && step != *options.final_step) {
    problem = say("ends at step ", step, ", the run at ", *options.final_step);
  }
  std::string what =
      say("ledger.jsonl: ", step - course.first(), " steps as they were committed, each micro-batch once");
  if (counts) what += say("; ", samples.total(), " samples, each once an epoch");
  if (skipped > 0) what += say("; ", skipped, " of the steps skipped, for they were not finite");
  return {what, problem};
}

// What a machine that died had not yet put on the disk may be missing in journal.jsonl at the end of its term; of a
// term that has ended, the end itself, where another term follows or nobody has heard of it: its coordinator died
// before it wrote this once more.
Claim prove_events(const std::filesystem::path& run, const Course& course, const ProofOptions& options) {
  const std::vector<Course::Event>& events = course.events();
  std::size_t at = 0, lines = 0;
  std::string problem;
  const auto skip_rest_of_term = [&] {
    const std::uint64_t term = events[at].term;
    const bool is_last = at + 1 == events.size() || events[at + 1].term != term;
    const bool is_unheard = is_last && (course.terms() > term || !options.final_step);
    if (course.has_ended(term) && !is_unheard) return false;
    while (at < events.size() && events[at].term == term) ++at;
    return true;
  };
  const std::string torn = visit_json_lines(run / "journal.jsonl", [&](object&& line) {
    if (options.is_alive && at == events.size()) return false;
    const std::string digest = Course::entry_digest(line);
    ++lines;
    while (at < events.size() && events[at].digest != digest && skip_rest_of_term()) continue;
    if (at == events.size() || events[at].digest != digest) {
      problem = say("line ", lines, " is not what the term journals have");
    }
    ++at;
    return problem.empty();
  });
  if (problem.empty()) problem = torn;
  while (problem.empty() && at < events.size()) {
    if (!skip_rest_of_term()) problem = say("ends after ", lines, " events, the term journals have more");
  }
  return {say("journal.jsonl: ", lines, " events as the term journals have them"), problem};
}

// What a record of another form makes Boost.JSON throw becomes the claim's problem.
Claim guarded(const std::string& what, const std::function<Claim()>& prove) {
  try {
    return prove();
  } catch (const UserError& error) {
    return {what, error.what()};
  } catch (const boost::system::system_error& error) {
    return {what, std::string("not a record of cadre: ") + error.what()};
  } catch (const std::out_of_range& error) {
    return {what, std::string("not a record of cadre: ") + error.what()};
  }
}

Claim prove_terms(const std::filesystem::path& run, Course& course) {
  std::string problem;
  std::uint64_t line = 0, line_of_term = 0;
  const auto problems = visit_terms(run, [&](std::uint64_t term, const object& entry) {
    if (std::exchange(line_of_term, term) != term) line = 0;
    ++line;
    if (!problem.empty()) return;
    while (course.terms() + 1 < term && std::filesystem::exists(term_journal(run, course.terms() + 1))) {
      course.pass_empty_term();
    }
    try {
      course.take(term, entry);
    } catch (const Contradiction& found) {
      problem = say("journal.term-", term, ".jsonl: line ", line, ": ", found.what());
    }
  });
  for (const TermProblem& found : problems) {
    // A crash may cut the last line of a term that had no end.
    if (problem.empty() && !(found.torn && !course.has_ended(found.term))) problem = found.text;
  }
  if (problem.empty() && course.terms() == 0) problem = "there is no journal.term-1.jsonl";
  return {say("term journals: ", course.terms(), course.terms() == 1 ? " term, " : " terms, ", course.commits(),
              " commits, each once in its generation, ", course.done(), " steps"),
          problem};
}

}  // namespace

std::vector<Claim> prove_records(const std::filesystem::path& run, const ProofOptions& options) {
  Course course;
  std::vector<Claim> claims{guarded("term journals", [&] { return prove_terms(run, course); })};
  // The others are held against them.
  if (!claims.front().problem.empty()) return claims;
  if (options.final_step && course.done() != *options.final_step) {
    claims.front().problem = say("they end at step ", course.done(), ", the run at ", *options.final_step);
  }
  claims.push_back(guarded("ledger.jsonl", [&] { return prove_ledger(run, course, options); }));
  claims.push_back(guarded("journal.jsonl", [&] { return prove_events(run, course, options); }));
  return claims;
}

}  // namespace cadre::runtime
