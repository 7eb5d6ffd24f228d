#include "runtime/shared_copy.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

// Ours, and nobody else's.
void make_private_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return;
  struct stat found {};
  if (errno != EEXIST || ::lstat(path.c_str(), &found) != 0) refuse(path);
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077) != 0) {
    throw RunError(path.string() +
                   ": expected a folder of this user's alone; found something else, which is left alone");
  }
}

// None: the last one that read it removes it just now.
Descriptor open_lock(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0 && errno != ENOENT) refuse(path);
  return Descriptor(file);
}

// The kernel drops it however a process ends.
void lock(const Descriptor& file, int how, const std::function<void()>& check) {
  while (file && ::flock(file.get(), how | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw RunError(say("flock: ", std::strerror(errno)));
    check();
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

SharedCopy::SharedCopy(const fs::path& place, const std::function<void(const fs::path&)>& make,
                       const std::function<void()>& check)
    : place_(place), folder_(place / kFiles) {
  try {
    do {
      leave();
      make_private_folder(place_);
      users_ = open_lock(place_ / kUsers);
      lock(users_, LOCK_SH, check);
    } while (is_removed());
    const Descriptor maker = open_lock(place_ / kMaker);
    lock(maker, LOCK_EX, check);
    if (!fs::exists(place_ / kWhole)) fill(make);
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
    fs::remove_all(folder_, ignored);
    for (const char* name : {kWhole, kMaker, kUsers}) fs::remove(place_ / name, ignored);
    fs::remove(place_, ignored);
  }
  users_.reset();
}

}  // namespace cadre::runtime
