#include "runtime/run_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <cerrno>
#include <cstring>

#include "runtime/error.h"
#include "runtime/json_print.h"

namespace cadre::runtime {
namespace {

constexpr const char* kLockName = ".lock";

struct flock whole_file(short type) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  return range;
}

RunHolder read_holder(int file) {
  char text[1024];
  const ssize_t size = ::pread(file, text, sizeof text, 0);
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse({text, size > 0 ? static_cast<std::size_t>(size) : 0}, error);
  RunHolder holder{.pid = 0, .host = "unknown"};
  if (error || !value.is_object()) return holder;
  if (const auto* pid = value.get_object().if_contains("pid"); pid && pid->is_int64()) holder.pid = pid->get_int64();
  if (const auto* host = value.get_object().if_contains("host"); host && host->is_string()) {
    holder.host = std::string(host->get_string());
  }
  return holder;
}

}  // namespace

RunHolder this_process() {
  char name[256] = {};
  const bool has_name = ::gethostname(name, sizeof name - 1) == 0;
  return {.pid = ::getpid(), .host = has_name ? name : "unknown"};
}

int take_run_lock(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kLockName;
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) {
    throw UserError(say(folder.string(), ": output_dir must be a folder that can be written to: ", std::strerror(errno),
                        "; choose another output_dir"));
  }
  struct flock range = whole_file(F_WRLCK);
  if (::fcntl(file, F_OFD_SETLK, &range) != 0) {
    const int cause = errno;
    const RunHolder holder = read_holder(file);
    ::close(file);
    if (cause != EAGAIN && cause != EACCES) {
      throw UserError(
          say(path.string(), ": this file system has no locks: ", std::strerror(cause), "; choose another output_dir"));
    }
    throw UserError(say(folder.string(), ": another run works in this folder: pid ", holder.pid, " on ", holder.host,
                        "; wait for it, stop it (cadre stop ", folder.string(), "), or choose another output_dir"));
  }
  const RunHolder self = this_process();
  const std::string text = json_line(boost::json::object{{"pid", self.pid}, {"host", self.host}}) + "\n";
  // Only for messages: the lock holds without it.
  if (::ftruncate(file, 0) == 0) [[maybe_unused]]
    const ssize_t written = ::pwrite(file, text.data(), text.size(), 0);
  return file;
}

std::optional<RunHolder> holder_of_run_lock(const std::filesystem::path& folder) {
  const int file = ::open((folder / kLockName).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  struct flock range = whole_file(F_WRLCK);
  std::optional<RunHolder> holder;
  if (::fcntl(file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK) holder = read_holder(file);
  ::close(file);
  return holder;
}

}  // namespace cadre::runtime
