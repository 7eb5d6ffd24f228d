// A thread of which a test knows that it waits.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace cadre::comm {

// Runs `action`, and is joined at the end.
class Asleep {
 public:
  explicit Asleep(std::function<void()> action)
      : thread_([this, action = std::move(action)] {
          id_ = static_cast<int>(::syscall(SYS_gettid));
          action();
          is_over_ = true;
        }) {}
  ~Asleep() { thread_.join(); }

  // Until the kernel says, a hundred times in a row, that it sleeps; or it is over.
  void until_asleep() const {
    for (int seen = 0; seen < 100 && !is_over_; std::this_thread::sleep_for(std::chrono::microseconds(100))) {
      seen = is_asleep() ? seen + 1 : 0;
    }
  }
  bool is_over() const { return is_over_; }

 private:
  bool is_asleep() const {
    if (id_ == 0) return false;
    std::ifstream status("/proc/self/task/" + std::to_string(id_) + "/stat");
    std::string text;
    std::getline(status, text);
    const std::size_t name_ends = text.rfind(')');
    return name_ends != text.npos && text.compare(name_ends, 3, ") S") == 0;
  }

  std::atomic<int> id_ = 0;
  std::atomic<bool> is_over_ = false;
  std::thread thread_;
};

}  // namespace cadre::comm
