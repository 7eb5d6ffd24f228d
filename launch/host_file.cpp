#include "launch/host_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <sstream>

#include "launch/child_process.h"
#include "launch/hosts.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;
constexpr std::size_t kMaxLine = 335;  // a name of a host and its number, and more than a message is to quote
constexpr const char* kHead =
    "# HOST:RANKS a line. Add one, or raise its number, and the run grows while it goes on. A line that goes changes\n"
    "# nothing: cadre drain RUN HOST takes a host out, cadre join RUN HOST brings it back.\n";

[[noreturn]] void refuse(const std::filesystem::path& path, const char* what) {
  throw runtime::UserError(path.string() + ": expected a file of this user's that nobody else may write: " + what);
}

// Nothing where it is not there, or cannot be read just now.
std::optional<std::string> read(const std::filesystem::path& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ELOOP) refuse(path, "it is a symbolic link");
  struct stat status = {};
  if (!file || fstat(file.get(), &status) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode)) refuse(path, "it is no plain file");
  if (status.st_uid != geteuid()) refuse(path, "it is another user's");
  if ((status.st_mode & 022) != 0) refuse(path, "its mode lets others write (chmod go-w)");
  if (status.st_size > static_cast<off_t>(kMaxBytes)) refuse(path, "it is longer than 1 MiB");
  try {
    return read_to_end(file.get(), kMaxBytes, path.string());
  } catch (const runtime::RunError&) {
    return std::nullopt;
  }
}

std::map<std::string, std::uint32_t> parse(const std::string& text, const std::filesystem::path& path) {
  std::map<std::string, std::uint32_t> hosts;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line.erase(std::min(line.find('#'), line.size()));
    line.erase(0, std::min(line.find_first_not_of(" \t\r"), line.size()));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.empty()) continue;
    const std::string where = runtime::say(path.string(), ", line ", number);
    const IslandSpec island = parse_host(line.substr(0, kMaxLine), where);
    if (!hosts.emplace(island.host, island.ranks).second) {
      throw runtime::UserError(where + ": " + island.host + " stands there twice; give its ranks in one number");
    }
  }
  return hosts;
}

}  // namespace

HostFile::HostFile(const std::filesystem::path& run, const std::vector<IslandSpec>& islands) : path_(run / "hosts") {
  std::string text = kHead;
  for (const IslandSpec& island : islands) {
    text += runtime::say(island.host, ":", island.ranks, "\n");
    accepted_[island.host] = island.ranks;
  }
  unlink(path_.c_str());
  const Descriptor file(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw runtime::RunError(runtime::say(path_.string(), ": cannot be written: ", std::strerror(errno)));
  }
  has_changed();
}

HostFile::~HostFile() {
  unlink(path_.c_str());
}

bool HostFile::has_changed() {
  struct stat status = {};
  if (lstat(path_.c_str(), &status) != 0) return false;  // an editor may be about to put it back
  std::string now = runtime::say(status.st_ino, " ", status.st_size, " ", status.st_mode, " ", status.st_uid, " ",
                                 status.st_mtim.tv_sec, " ", status.st_mtim.tv_nsec);
  if (now == seen_) return false;
  seen_ = std::move(now);
  return true;
}

std::vector<IslandSpec> HostFile::raised() {
  if (!has_changed()) return {};
  const std::optional<std::string> text = read(path_);
  if (!text) {
    seen_.clear();
    return {};
  }
  std::vector<IslandSpec> raised;
  for (const auto& [host, ranks] : parse(*text, path_)) {
    const auto accepted = accepted_.find(host);
    if (accepted == accepted_.end() || ranks > accepted->second) raised.push_back({.host = host, .ranks = ranks});
  }
  return raised;
}

void HostFile::accept(const IslandSpec& host) {
  accepted_[host.host] = std::max(accepted_[host.host], host.ranks);
}

}  // namespace cadre::launch
