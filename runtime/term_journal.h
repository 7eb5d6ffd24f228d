// The coordinator's write-ahead journal: journal.term-1.jsonl, one file for each of its incarnations, never appended to
// by a later one. JSON Lines whose last field is the CRC-32C of the line before it, so that what a crash has torn or
// left is told from what was written.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/effects.h"
#include "runtime/json_lines.h"
#include "runtime/members.h"

namespace cadre::runtime {

// One writer a file, by an exclusive lock that the kernel drops however the process ends. Used by one thread.
class TermJournal {
 public:
  // Makes the file of a new term. UserError: it is there already, or the coordinator of the term before is alive.
  // RunError: the disk refuses.
  TermJournal(const std::filesystem::path& folder, std::uint64_t term);
  TermJournal(TermJournal&& other) noexcept;
  TermJournal& operator=(TermJournal&&) = delete;
  ~TermJournal();

  // Appends one line with one write(2); it has reached the kernel or the disk on return. RunError when the disk
  // refuses: the file then ends at the line before, and nothing that depends on the entry may be done.
  void append(const boost::json::object& entry, Durability durability);

  const std::filesystem::path& path() const { return path_; }

 private:
  void allocate(std::uint64_t bytes);

  std::filesystem::path path_;
  int file_ = -1;
  std::uint64_t size_ = 0, allocated_ = 0;
};

// A member that is to come back to a new coordinator.
struct Awaited {
  std::uint32_t incarnation = 0;
  std::int64_t pid = 0;  // on its host
  bool operator==(const Awaited&) const = default;
};

// What a coordinator that starts again must know of those before it.
struct TermHistory {
  std::uint64_t last_term = 0;  // 0: there was none
  std::string run_id = {};
  std::string launch = {};  // the last term's
  std::uint64_t generation = 0, view = 0;
  std::uint64_t committed = 0;  // updates, in the last generation
  std::int64_t best_step = -1;
  double best_loss = 0;
  std::set<std::uint64_t> checkpoints = {};  // that were published; some may have been removed since
  std::map<Rank, std::uint32_t> incarnations = {};
  std::map<Rank, Awaited> members = {};  // of the last view of `launch`, without those lost since
  std::set<Rank> left_out = {};          // of `launch`, that have not come back since
  // Of `launch`: the last view, and the one by whose placement the state is held, as `Machine::resident_in_`. Members
  // without what placement does not need.
  View last_view = {}, resident_in = {};
  bool is_settled = false;                          // something was decided since the last load
  std::map<std::uint64_t, Committed> commits = {};  // of `launch`, by step, as they count; the last with micro-batches
  std::map<std::uint64_t, double> evaluations = {};
  std::optional<Finished> end = {};  // of `launch`
  std::string last_event = {};
  std::vector<std::string> problems = {};  // the text of each

  // One entry more.
  void take(const boost::json::object& entry);
};

// What cannot be read of a term's file.
struct TermProblem {
  std::uint64_t term = 0;
  std::string text = {};  // "journal.term-2.jsonl: line 7: …"; what follows there was not read
  bool torn = false;      // a line without its end, as a crash leaves it
};

// Calls `visit` for each entry of all terms, in their order. UserError when a file cannot be read.
std::vector<TermProblem> visit_terms(
    const std::filesystem::path& folder,
    const std::function<void(std::uint64_t term, const boost::json::object& entry)>& visit);

// What they say together. UserError as above.
TermHistory read_terms(const std::filesystem::path& folder);

// True while the coordinator of the newest term lives: it may outlive its launcher for a moment, and then still writes.
// UserError when the folder cannot be read.
bool is_coordinator_alive(const std::filesystem::path& folder);

std::filesystem::path term_journal(const std::filesystem::path& folder, std::uint64_t term);
// True for "journal.term-12.jsonl".
bool is_term_journal(std::string_view name);

// One line without its end, and back; nothing where the checksum is another or the rest is no JSON object.
std::string print_journal_line(const boost::json::object& entry);
std::optional<boost::json::object> parse_journal_line(std::string_view line);

}  // namespace cadre::runtime
