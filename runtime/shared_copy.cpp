#include "runtime/shared_copy.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "runtime/descriptor.h"
#include "runtime/error.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

constexpr char kUsers[] = "users", kMaker[] = "maker", kFiles[] = "files", kWhole[] = "whole";
constexpr std::chrono::milliseconds kPause{20};

[[noreturn]] void refuse(const fs::path& path) {
  throw RunError(say(path.string(), ": ", std::strerror(errno)));
}

// Ours, and nobody else's; another user may have seen the name and taken it.
bool make_private_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return true;
  struct stat found {};
  if (errno != EEXIST) refuse(path);
  if (::lstat(path.c_str(), &found) != 0) return errno == ENOENT;  // the last one that read it removes it just now
  return S_ISDIR(found.st_mode) && found.st_uid == ::geteuid() && (found.st_mode & 077) == 0;
}

// None: the last one that read it removes it just now.
Descriptor open_lock(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0 && errno != ENOENT) refuse(path);
  return Descriptor(file);
}

// When something in the folder was last written to.
fs::file_time_type last_change(const fs::path& folder) {
  std::error_code ignored;
  fs::file_time_type last = fs::file_time_type::min();
  for (fs::recursive_directory_iterator at(folder, ignored), end; !ignored && at != end; at.increment(ignored)) {
    const fs::file_time_type time = at->last_write_time(ignored);
    if (!ignored) last = std::max(last, time);
    ignored.clear();
  }
  return last;
}

// The kernel drops it however a process ends. False: whoever has it has done nothing in `folder` for as long as
// `stuck`; it was stopped.
bool lock(const Descriptor& file, int how, const fs::path& folder, std::chrono::milliseconds stuck,
          const std::function<void()>& check) {
  const auto began = fs::file_time_type::clock::now();
  while (file && ::flock(file.get(), how | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw RunError(say("flock: ", std::strerror(errno)));
    check();
    const auto now = fs::file_time_type::clock::now();
    if (now - began > stuck && now - last_change(folder) > stuck) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

}  // namespace

SharedCopy::SharedCopy(const fs::path& place, const std::function<void(const fs::path&)>& make,
                       const std::function<void()>& check, std::chrono::milliseconds stuck)
    : place_(place), folder_(place / kFiles) {
  try {
    if (share(make, check, stuck)) return;
    leave();
    own_.emplace(place.string() + "-own");
    folder_ = own_->path();
    make(folder_);
  } catch (const fs::filesystem_error& error) {
    leave();
    throw RunError(error.what());
  } catch (...) {
    leave();
    throw;
  }
}

SharedCopy::~SharedCopy() {
  leave();
}

bool SharedCopy::share(const std::function<void(const fs::path&)>& make, const std::function<void()>& check,
                       std::chrono::milliseconds stuck) {
  do {
    leave();
    if (!make_private_folder(place_)) return false;
    users_ = open_lock(place_ / kUsers);
    if (!lock(users_, LOCK_SH, folder_, stuck, check)) return false;
  } while (is_removed());
  const Descriptor maker = open_lock(place_ / kMaker);
  if (!lock(maker, LOCK_EX, folder_, stuck, check)) return false;
  if (!fs::exists(place_ / kWhole)) fill(make);
  return true;
}

void SharedCopy::fill(const std::function<void(const fs::path&)>& make) {
  fs::remove_all(folder_);  // of one that did not come to its end
  fs::create_directory(folder_);
  make(folder_);
  const Descriptor whole(::open((place_ / kWhole).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!whole) refuse(place_);
}

bool SharedCopy::is_removed() const {
  struct stat found {};
  return !users_ || ::fstat(users_.get(), &found) != 0 || found.st_nlink == 0;
}

void SharedCopy::leave() {
  if (!users_) return;
  // Nobody else reads it or waits for it.
  if (::flock(users_.get(), LOCK_EX | LOCK_NB) == 0 && !is_removed()) {
    std::error_code ignored;
    fs::remove(place_ / kWhole, ignored);  // first: should this process die on the way, the rest is none
    fs::remove_all(folder_, ignored);
    for (const char* name : {kMaker, kUsers}) fs::remove(place_ / name, ignored);
    fs::remove(place_, ignored);
  }
  users_.reset();
}

}  // namespace cadre::runtime
