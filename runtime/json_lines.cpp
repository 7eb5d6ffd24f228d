#include "runtime/json_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "runtime/descriptor.h"
#include "runtime/error.h"
#include "runtime/json_print.h"

namespace cadre::runtime {
namespace {

constexpr std::size_t kBlockBytes = 64 * 1024;

std::string reason() {
  return std::strerror(errno);
}

// pread that goes on after signals and short reads; fewer bytes than asked only at the end of the file.
std::size_t read_at(int file, std::uint64_t offset, char* into, std::size_t bytes) {
  std::size_t got = 0;
  while (got < bytes) {
    const ssize_t now = ::pread(file, into + got, bytes - got, static_cast<off_t>(offset + got));
    if (now < 0 && errno == EINTR) continue;
    if (now < 0) throw UserError(say("cannot read: ", reason()));
    if (now == 0) break;
    got += static_cast<std::size_t>(now);
  }
  return got;
}

std::uint64_t size_of(int file) {
  struct stat status;
  if (::fstat(file, &status) != 0) throw UserError(say("cannot read: ", reason()));
  if (!S_ISREG(status.st_mode)) throw UserError("expected a regular file");
  return static_cast<std::uint64_t>(status.st_size);
}

std::optional<boost::json::object> parse_line(std::string_view line, std::string* problem) {
  boost::json::error_code error;
  boost::json::value value = boost::json::parse({line.data(), line.size()}, error);
  if (error || !value.is_object()) {
    if (problem) *problem = say("not a JSON object: ", error ? error.message() : "another kind of value");
    return std::nullopt;
  }
  return std::move(value.get_object());
}

// Calls visit(line without its end, offset of the line) for the lines that an end of line closes, until it returns
// false. Returns what is wrong with the rest.
std::string visit_lines(int file, const std::function<bool(std::string_view, std::uint64_t)>& visit) {
  std::string pending;
  std::uint64_t offset = 0;       // of the first byte of `pending`
  std::uint64_t read_offset = 0;  // of the next byte to read
  std::size_t line_number = 1;
  std::string block(kBlockBytes, '\0');
  while (const std::size_t got = read_at(file, read_offset, block.data(), block.size())) {
    read_offset += got;
    std::string_view rest(block.data(), got);
    for (std::size_t end; (end = rest.find('\n')) != rest.npos; ++line_number) {
      pending += rest.substr(0, end);
      rest.remove_prefix(end + 1);
      if (pending.size() > kMaxJsonLineBytes) break;
      if (!visit(pending, offset)) return "";
      offset += pending.size() + 1;
      pending.clear();
    }
    if (pending.size() + rest.size() > kMaxJsonLineBytes) {
      return say("line ", line_number, ": longer than ", kMaxJsonLineBytes, " bytes");
    }
    pending += rest;
  }
  if (pending.empty()) return "";
  return say("line ", line_number, ": cut off after ", pending.size(), pending.size() == 1 ? " byte" : " bytes");
}

// Offset of the first byte of the line that ends right before `end` (an end of line, or the end of the file).
std::uint64_t line_start(int file, std::uint64_t end) {
  std::string block(kBlockBytes, '\0');
  while (end > 0) {
    const std::uint64_t begin = end - std::min<std::uint64_t>(end, block.size());
    const std::size_t got = read_at(file, begin, block.data(), static_cast<std::size_t>(end - begin));
    const std::size_t found = std::string_view(block.data(), got).rfind('\n');
    if (found != std::string_view::npos) return begin + found + 1;
    end = begin;
  }
  return 0;
}

struct LastLine {
  std::uint64_t begin;
  std::optional<boost::json::object> object;  // absent: no JSON object, or longer than a line may be
};

// The line whose end of line is the byte before `end`.
LastLine line_before(int file, std::uint64_t end) {
  const std::uint64_t begin = line_start(file, end - 1);
  if (end - begin > kMaxJsonLineBytes) return {begin, std::nullopt};
  std::string text(static_cast<std::size_t>(end - 1 - begin), '\0');
  text.resize(read_at(file, begin, text.data(), text.size()));
  return {begin, parse_line(text, nullptr)};
}

// Where the last whole JSON object's line ends. A crash of the machine may leave lines of zeros or of old blocks at the
// end; damage in the middle is not touched.
std::uint64_t end_of_whole_lines(int file) {
  std::uint64_t end = line_start(file, size_of(file));
  while (end > 0) {
    const LastLine line = line_before(file, end);
    if (line.object) break;
    end = line.begin;
  }
  return end;
}

int open_or_throw(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw UserError(say(path.string(), ": cannot be opened: ", reason()));
  return file;
}

// Adds the path to what the functions above throw.
template <typename Do>
auto naming(const std::filesystem::path& path, Do action) {
  try {
    return action();
  } catch (const UserError& error) {
    throw UserError(say(path.string(), ": ", error.what()));
  }
}

}  // namespace

JsonLinesWriter::JsonLinesWriter(std::filesystem::path path, Durability durability)
    : path_(std::move(path)), durability_(durability) {
  Descriptor file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (file.get() < 0) throw RunError(say(path_.string(), ": cannot be opened for writing: ", reason()));
  try {
    size_ = end_of_whole_lines(file.get());
  } catch (const UserError& error) {
    throw RunError(say(path_.string(), ": ", error.what()));
  }
  if (::ftruncate(file.get(), static_cast<off_t>(size_)) != 0) {
    throw RunError(say(path_.string(), ": its torn last line cannot be cut off: ", reason()));
  }
  file_ = file.release();
}

JsonLinesWriter::JsonLinesWriter(JsonLinesWriter&& other) noexcept
    : path_(std::move(other.path_)),
      durability_(other.durability_),
      file_(std::exchange(other.file_, -1)),
      size_(other.size_) {}

JsonLinesWriter& JsonLinesWriter::operator=(JsonLinesWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(durability_, other.durability_);
  std::swap(file_, other.file_);
  std::swap(size_, other.size_);
  return *this;
}

JsonLinesWriter::~JsonLinesWriter() {
  if (file_ >= 0) ::close(file_);
}

void JsonLinesWriter::write(const boost::json::object& line) {
  const std::string text = json_line(line) + '\n';
  CADRE_CHECK(text.size() <= kMaxJsonLineBytes, "a line of ", text.size(), " bytes");
  ssize_t written;
  do {
    written = ::pwrite(file_, text.data(), text.size(), static_cast<off_t>(size_));
  } while (written < 0 && errno == EINTR);
  if (written != static_cast<ssize_t>(text.size())) {
    const std::string why = written < 0 ? reason() : "no space for the whole line";
    // Best effort: should it fail too, the next writer cuts the torn line off.
    [[maybe_unused]] const int cut = ::ftruncate(file_, static_cast<off_t>(size_));
    throw RunError(say(path_.string(), ": a line of ", text.size(), " bytes could not be written: ", why));
  }
  size_ += text.size();
  if (durability_ == Durability::kDisk && ::fdatasync(file_) != 0) {
    throw RunError(say(path_.string(), ": fsync: ", reason()));
  }
}

std::string visit_json_lines(const std::filesystem::path& path,
                             const std::function<bool(boost::json::object&& line)>& visit) {
  const Descriptor file(open_or_throw(path));
  return naming(path, [&] {
    size_of(file.get());
    std::string damage;
    std::size_t line_number = 0;
    std::string tail = visit_lines(file.get(), [&](std::string_view text, std::uint64_t) {
      ++line_number;
      auto object = parse_line(text, &damage);
      if (!object) damage = say("line ", line_number, ": ", damage);
      return object && visit(std::move(*object));
    });
    return damage.empty() ? tail : damage;
  });
}

JsonLines read_json_lines(const std::filesystem::path& path) {
  JsonLines result;
  result.problem = visit_json_lines(path, [&](boost::json::object&& line) {
    result.lines.push_back(std::move(line));
    return true;
  });
  return result;
}

std::vector<boost::json::object> last_json_lines(const std::filesystem::path& path, std::size_t count) {
  std::vector<boost::json::object> lines;
  if (!std::filesystem::exists(path)) return lines;
  const Descriptor file(open_or_throw(path));
  naming(path, [&] {
    std::uint64_t end = line_start(file.get(), size_of(file.get()));
    while (end > 0 && lines.size() < count) {
      LastLine line = line_before(file.get(), end);
      if (line.object) lines.push_back(std::move(*line.object));
      end = line.begin;
    }
  });
  std::reverse(lines.begin(), lines.end());
  return lines;
}

std::size_t cut_json_lines(const std::filesystem::path& path,
                           const std::function<bool(const boost::json::object& line)>& drop) {
  if (!std::filesystem::exists(path)) return 0;
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (file.get() < 0) throw RunError(say(path.string(), ": cannot be opened for writing: ", reason()));
  return naming(path, [&] {
    const std::uint64_t size = size_of(file.get());
    std::uint64_t keep = 0;
    std::size_t dropped = 0;
    bool keeping = true;
    visit_lines(file.get(), [&](std::string_view text, std::uint64_t offset) {
      if (keeping) {
        const auto object = parse_line(text, nullptr);
        keeping = object && !drop(*object);
      }
      if (keeping) {
        keep = offset + text.size() + 1;
      } else {
        ++dropped;
      }
      return true;
    });
    if (keep != size && (::ftruncate(file.get(), static_cast<off_t>(keep)) != 0 || ::fsync(file.get()) != 0)) {
      throw RunError(say(path.string(), ": cannot be cut: ", reason()));
    }
    return dropped;
  });
}

}  // namespace cadre::runtime
