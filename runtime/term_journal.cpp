#include "runtime/term_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "runtime/crc32c.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/json_fields.h"
#include "runtime/json_print.h"

namespace cadre::runtime {
namespace {

constexpr std::string_view kPrefix = "journal.term-", kSuffix = ".jsonl";
constexpr std::string_view kChecksumField = ",\"crc32c\":\"";
constexpr std::size_t kTailBytes = kChecksumField.size() + 8 + 2;  // 8 digits, quote and brace
// Space on the disk is asked for ahead, so that a commit does not wait for it and a full disk is seen early.
constexpr std::uint64_t kAllocatedAhead = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxJournalBytes = std::uint64_t{16} << 30;

std::optional<std::uint64_t> term_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) || name.size() <= kPrefix.size() + kSuffix.size()) {
    return std::nullopt;
  }
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  std::uint64_t term = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), term);
  if (error != std::errc{} || end != name.data() + name.size() || term == 0) return std::nullopt;
  return term;
}

std::string hex(std::uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

bool take_lock(int file) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  return ::fcntl(file, F_OFD_SETLK, &range) == 0;
}

bool is_locked(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  const bool free = take_lock(file);
  ::close(file);
  return !free;
}

// A term begins when the one before has ended.
void require_ended(const std::filesystem::path& path) {
  if (is_locked(path)) throw UserError(say(path.string(), ": its coordinator is alive; wait for it or stop it"));
}

std::map<std::uint64_t, std::filesystem::path> journals_in(const std::filesystem::path& folder) {
  std::map<std::uint64_t, std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (const auto term = term_of(at->path().filename().string())) files.emplace(*term, at->path());
  }
  if (error) throw UserError(say(folder.string(), ": cannot be read: ", error.message()));
  return files;
}

std::uint64_t number(const boost::json::object& entry, const char* key, std::uint64_t otherwise) {
  const boost::json::value* value = entry.if_contains(key);
  boost::json::error_code error;
  const auto found = value == nullptr ? otherwise : value->to_number<std::uint64_t>(error);
  return error ? otherwise : found;
}

// NaN where there is none.
double bits_in(const boost::json::object& entry, std::size_t at) {
  const boost::json::value* bits = entry.if_contains("bits");
  const bool found =
      bits != nullptr && bits->is_array() && bits->get_array().size() > at && bits->get_array()[at].is_int64();
  return found ? std::bit_cast<double>(bits->get_array()[at].get_int64()) : std::numeric_limits<double>::quiet_NaN();
}

double real(const boost::json::object& entry, const char* key) {
  const boost::json::value* value = entry.if_contains(key);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

bool is_true(const boost::json::object& entry, const char* key) {
  const boost::json::value* value = entry.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

// What this program has written, behind a checksum; numbers of another kind are an exception of Boost.JSON's.
std::vector<LedgerEntry> micro_batches_of(const boost::json::object& entry) {
  std::vector<LedgerEntry> micro_batches;
  const boost::json::value* list = entry.if_contains("micro_batches");
  if (list == nullptr || !list->is_array()) return micro_batches;
  for (const boost::json::value& item : list->get_array()) {
    LedgerEntry one{.micro_batch = static_cast<std::uint32_t>(micro_batches.size()),
                    .rank = item.at(0).to_number<Rank>(),
                    .view = item.at(1).to_number<std::uint64_t>(),
                    .samples = {}};
    for (const boost::json::value& row : item.at(2).as_array()) one.samples.push_back(row.to_number<std::uint32_t>());
    micro_batches.push_back(std::move(one));
  }
  return micro_batches;
}

Committed commit_of(const boost::json::object& entry, std::uint64_t step) {
  Committed commit;
  commit.stamp.generation = number(entry, "generation", 0);
  commit.stamp.view = number(entry, "view", 0);
  commit.step = step;
  commit.loss = bits_in(entry, 0);
  commit.grad_norm = bits_in(entry, 1);
  commit.clip_scale = bits_in(entry, 2);
  commit.is_skipped = is_true(entry, "skipped");
  commit.tokens = number(entry, "tokens", 0);
  commit.trained_tokens = number(entry, "trained_tokens", 0);
  commit.ranks = number(entry, "ranks", 0);
  commit.compute_seconds = real(entry, "compute_seconds");
  commit.exchange_seconds = real(entry, "exchange_seconds");
  commit.micro_batches = micro_batches_of(entry);
  return commit;
}

Finished end_of(const boost::json::object& entry, const std::string& event, std::uint64_t step) {
  const boost::json::value* files = entry.if_contains("sha256");
  Finished end;
  end.outcome = event == "succeeded"              ? RunOutcome::kSucceeded
                : event == "stopped"              ? RunOutcome::kStopped
                : is_true(entry, "user_can_mend") ? RunOutcome::kUserError
                                                  : RunOutcome::kFailed;
  end.reason = text_in(entry, "reason");
  end.step = step;
  end.result_of = text_in(entry, "of");
  if (files != nullptr && files->is_object()) {
    for (const auto& [name, hash] : files->get_object()) {
      if (hash.is_string()) end.result_sha256[std::string(name)] = std::string(hash.get_string());
    }
  }
  return end;
}

}  // namespace

std::filesystem::path term_journal(const std::filesystem::path& folder, std::uint64_t term) {
  return folder / say(kPrefix, term, kSuffix);
}

bool is_term_journal(std::string_view name) {
  return term_of(name).has_value();
}

std::string print_journal_line(const boost::json::object& entry) {
  CADRE_CHECK(!entry.empty(), "an empty entry");
  std::string line = json_line(entry);
  line.pop_back();
  const std::uint32_t checksum = crc32c(line);
  return line.append(kChecksumField).append(hex(checksum)).append("\"}");
}

std::optional<boost::json::object> parse_journal_line(std::string_view line) {
  if (line.size() <= kTailBytes) return std::nullopt;
  const std::string_view body = line.substr(0, line.size() - kTailBytes), tail = line.substr(body.size());
  if (tail != std::string(kChecksumField) + hex(crc32c(body)) + "\"}") return std::nullopt;
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(std::string(body) + "}", error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

TermJournal::TermJournal(const std::filesystem::path& folder, std::uint64_t term) : path_(term_journal(folder, term)) {
  CADRE_CHECK(term > 0, "terms count from 1");
  if (term > 1) require_ended(term_journal(folder, term - 1));
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND, 0666);
  if (file_ < 0) {
    const std::string reason = say(path_.string(), ": cannot be made: ", std::strerror(errno));
    if (errno == EEXIST) throw UserError(reason + "; another coordinator of this term works here");
    throw RunError(reason);
  }
  if (!take_lock(file_)) {
    const std::string reason = say(path_.string(), ": cannot be locked: ", std::strerror(errno));
    ::close(std::exchange(file_, -1));
    throw RunError(reason);
  }
  sync_folder(folder);
}

TermJournal::TermJournal(TermJournal&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      size_(other.size_),
      allocated_(other.allocated_) {}

TermJournal::~TermJournal() {
  if (file_ < 0) return;
  // Gives back what was allocated ahead: a run may have many terms.
  [[maybe_unused]] const int cut = ::ftruncate(file_, static_cast<off_t>(size_));
  ::close(file_);
}

void TermJournal::allocate(std::uint64_t bytes) {
  if (bytes <= allocated_) return;
  const std::uint64_t wanted = (bytes / kAllocatedAhead + 1) * kAllocatedAhead;
  // The file keeps its size. A file system that cannot do this is written to all the same.
  const int result = ::fallocate(file_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(wanted));
  if (result == 0 || errno == EOPNOTSUPP) allocated_ = wanted;
}

void TermJournal::append(const boost::json::object& entry, Durability durability) {
  const std::string line = print_journal_line(entry) + "\n";
  if (line.size() > kMaxJsonLineBytes) throw RunError(say(path_.string(), ": a line of ", line.size(), " bytes"));
  allocate(size_ + line.size());
  ssize_t written = -1;
  do written = ::write(file_, line.data(), line.size());
  while (written < 0 && errno == EINTR);
  const bool whole = written == static_cast<ssize_t>(line.size());
  if (!whole || (durability == Durability::kDisk && ::fdatasync(file_) != 0)) {
    const std::string reason = written >= 0 && !whole ? "the disk is full" : std::strerror(errno);
    [[maybe_unused]] const int cut = ::ftruncate(file_, static_cast<off_t>(size_));
    throw RunError(say(path_.string(), ": cannot be written to: ", reason));
  }
  size_ += line.size();
}

void TermHistory::take(const boost::json::object& entry) {
  const std::string event = text_in(entry, "event");
  const std::uint64_t step = number(entry, "step", 0);
  last_event = event;
  const bool begins_generation = number(entry, "generation", 0) > generation;
  generation = std::max(generation, number(entry, "generation", 0));
  view = std::max(view, number(entry, "view", 0));
  if (event == "term") {
    run_id = text_in(entry, "run_id");
    // It may end before it has taken over: until its generation begins, what was committed stands.
    committed = begins_generation ? step : std::max(committed, step);
    std::string of = text_in(entry, "launch");
    if (of != launch) {
      members.clear();
      last_view = resident_in = {};
      left_out.clear();
      commits.clear();
      evaluations.clear();
      end.reset();
    }
    launch = std::move(of);
  } else if (event == "commit") {
    committed = step;
    is_settled = true;
    if (resident_in.stamp != last_view.stamp) resident_in = last_view;
    if (!commits.empty()) commits.rbegin()->second.micro_batches.clear();
    commits.insert_or_assign(step, commit_of(entry, step));
  } else if (event == "rollback") {
    committed = step;
    commits.erase(commits.upper_bound(step), commits.end());
    evaluations.erase(evaluations.upper_bound(step), evaluations.end());
  } else if (event == "checkpoint") {
    checkpoints.insert(step);
  } else if (event == "evaluation") {
    is_settled = true;
    const double exact = bits_in(entry, 0);
    evaluations[step] = exact;
    if (number(entry, "best_step", ~std::uint64_t{0}) == step) {
      best_step = static_cast<std::int64_t>(step);
      best_loss = exact;
    }
  } else if (event == "succeeded" || event == "stopped" || event == "failed") {
    end = end_of(entry, event, step);
  } else if (event == "lost") {
    members.erase(static_cast<Rank>(number(entry, "rank", kAnyRank)));
  } else if (event == "left_out") {
    left_out.insert(static_cast<Rank>(number(entry, "rank", kAnyRank)));
  } else if (event == "joined") {
    left_out.erase(static_cast<Rank>(number(entry, "rank", kAnyRank)));
  } else if (event == "view") {
    const boost::json::value* found = entry.if_contains("members");
    if (found == nullptr || !found->is_array()) return;
    members.clear();
    last_view = {{0, number(entry, "generation", 0), number(entry, "view", 0)}, {}};
    for (const boost::json::value& member : found->get_array()) {
      if (!member.is_object()) continue;
      const std::uint64_t rank = number(member.get_object(), "rank", kAnyRank);
      const auto incarnation = static_cast<std::uint32_t>(number(member.get_object(), "incarnation", 0));
      if (rank >= kAnyRank) continue;
      incarnations[static_cast<Rank>(rank)] = incarnation;
      members[static_cast<Rank>(rank)] = {incarnation,
                                          static_cast<std::int64_t>(number(member.get_object(), "pid", 0))};
      last_view.members.push_back({.rank = static_cast<Rank>(rank),
                                   .incarnation = incarnation,
                                   .host = text_in(member.get_object(), "host"),
                                   .island = static_cast<std::uint32_t>(number(member.get_object(), "island", 0)),
                                   .is_leaving = is_true(member.get_object(), "is_leaving")});
    }
    if (is_true(entry, "load")) {
      is_settled = false;
      resident_in = last_view;
    }
  }
}

bool is_coordinator_alive(const std::filesystem::path& folder) {
  const auto journals = journals_in(folder);
  return !journals.empty() && is_locked(journals.rbegin()->second);
}

std::vector<TermProblem> visit_terms(
    const std::filesystem::path& folder,
    const std::function<void(std::uint64_t term, const boost::json::object& entry)>& visit) {
  std::vector<TermProblem> problems;
  for (const auto& [term, path] : journals_in(folder)) {
    const std::string name = path.filename().string();
    const std::string content = read_file(path, kMaxJournalBytes);
    std::string_view rest = content;
    for (std::size_t line = 1; !rest.empty(); ++line) {
      const std::size_t end = rest.find('\n');
      if (end == std::string_view::npos) {
        // A whole line before its last byte: that byte was the line's end, and is damaged.
        const bool torn = !parse_journal_line(rest.substr(0, rest.size() - 1));
        problems.push_back({term, say(name, ": line ", line, ": cut off after ", rest.size(), " bytes"), torn});
        break;
      }
      const std::optional<boost::json::object> entry = parse_journal_line(rest.substr(0, end));
      if (!entry) {
        problems.push_back({term, say(name, ": line ", line, ": its checksum is not that of its text")});
        break;
      }
      visit(term, *entry);
      rest.remove_prefix(end + 1);
    }
  }
  return problems;
}

TermHistory read_terms(const std::filesystem::path& folder) {
  TermHistory history;
  const auto problems = visit_terms(folder, [&](std::uint64_t term, const boost::json::object& entry) {
    history.last_term = term;
    history.take(entry);
  });
  for (const TermProblem& problem : problems) {
    history.last_term = std::max(history.last_term, problem.term);
    history.problems.push_back(problem.text);
  }
  return history;
}

}  // namespace cadre::runtime
