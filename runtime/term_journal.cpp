#include "runtime/term_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "runtime/crc32c.h"
#include "runtime/error.h"
#include "runtime/files.h"
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

std::filesystem::path path_of(const std::filesystem::path& folder, std::uint64_t term) {
  return folder / say(kPrefix, term, kSuffix);
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

std::string text(const boost::json::object& entry, const char* key) {
  const boost::json::value* value = entry.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

}  // namespace

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

TermJournal::TermJournal(const std::filesystem::path& folder, std::uint64_t term) : path_(path_of(folder, term)) {
  CADRE_CHECK(term > 0, "terms count from 1");
  if (term > 1) require_ended(path_of(folder, term - 1));
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
  const std::string event = text(entry, "event");
  const std::uint64_t step = number(entry, "step", 0);
  last_event = event;
  generation = std::max(generation, number(entry, "generation", 0));
  view = std::max(view, number(entry, "view", 0));
  if (event == "term") {
    run_id = text(entry, "run_id");
    committed = step;
  } else if (event == "commit" || event == "rollback") {
    committed = step;
  } else if (event == "checkpoint") {
    checkpoints.insert(step);
  } else if (event == "evaluation" && number(entry, "best_step", ~std::uint64_t{0}) == step) {
    best_step = static_cast<std::int64_t>(step);
    const boost::json::value* loss = entry.if_contains("loss");
    if (loss != nullptr && loss->is_double()) best_loss = loss->get_double();
  } else if (event == "view") {
    const boost::json::value* members = entry.if_contains("members");
    if (members == nullptr || !members->is_array()) return;
    for (const boost::json::value& member : members->get_array()) {
      if (!member.is_array() || member.get_array().size() != 2) continue;
      boost::json::error_code bad;
      const auto rank = member.get_array()[0].to_number<Rank>(bad);
      if (bad) continue;
      const auto incarnation = member.get_array()[1].to_number<std::uint32_t>(bad);
      if (!bad) incarnations[rank] = incarnation;
    }
  }
}

bool is_coordinator_alive(const std::filesystem::path& folder) {
  const auto journals = journals_in(folder);
  return !journals.empty() && is_locked(journals.rbegin()->second);
}

TermHistory read_terms(const std::filesystem::path& folder) {
  TermHistory history;
  for (const auto& [term, path] : journals_in(folder)) {
    history.last_term = term;
    const std::string content = read_file(path, kMaxJournalBytes);
    std::string_view rest = content;
    for (std::size_t line = 1; !rest.empty(); ++line) {
      const std::size_t end = rest.find('\n');
      const std::string name = path.filename().string();
      if (end == std::string_view::npos) {
        history.problems.push_back(say(name, ": line ", line, ": cut off after ", rest.size(), " bytes"));
        break;
      }
      const std::optional<boost::json::object> entry = parse_journal_line(rest.substr(0, end));
      if (!entry) {
        history.problems.push_back(say(name, ": line ", line, ": its checksum is not that of its text"));
        break;
      }
      history.take(*entry);
      rest.remove_prefix(end + 1);
    }
  }
  return history;
}

}  // namespace cadre::runtime
