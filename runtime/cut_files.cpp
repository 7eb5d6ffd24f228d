#include "runtime/cut_files.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "runtime/plain_text.h"

namespace cadre::runtime {
namespace {

// A list that only grows, so that the handler can walk it without a lock; a range that is gone is free for the next.
struct Watched {
  std::atomic<std::uintptr_t> begin{0};  // 0: free. Stored last, so that whoever sees it sees the rest
  std::uintptr_t end = 0;
  std::string line;
  Watched* next = nullptr;
};

std::atomic<Watched*> first_watched{nullptr};
struct sigaction previous_action;

std::mutex& changing() {
  static std::mutex mutex;
  return mutex;
}

// Only what a signal handler may do (signal-safety(7)).
void on_bus_error(int, siginfo_t* info, void*) {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const Watched* one = first_watched.load(std::memory_order_acquire); one != nullptr; one = one->next) {
    const std::uintptr_t begin = one->begin.load(std::memory_order_acquire);
    if (begin == 0 || at < begin || at >= one->end) continue;
    static_cast<void>(!::write(STDERR_FILENO, one->line.data(), one->line.size()));
    ::_exit(1);
  }
  // Not ours: the touch is done again, and now means what it meant before.
  ::sigaction(SIGBUS, &previous_action, nullptr);
}

}  // namespace

void end_with_a_word_on_cut_files() {
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, &previous_action);
}

void watch_for_cuts(std::span<const std::byte> mapped, const std::filesystem::path& path) {
  const std::lock_guard lock(changing());
  Watched* place = first_watched.load(std::memory_order_relaxed);
  while (place != nullptr && place->begin.load(std::memory_order_relaxed) != 0) place = place->next;
  const bool is_new = place == nullptr;
  if (is_new) place = new Watched;  // for the life of the process
  place->line = "cadre: " +
                plain_line(path.string() +
                           ": was cut short, or its disk failed, while it was in use; bring the file back "
                           "and start the same command again") +
                "\n";
  const auto begin = reinterpret_cast<std::uintptr_t>(mapped.data());
  place->end = begin + mapped.size();
  place->begin.store(begin, std::memory_order_release);
  if (!is_new) return;
  place->next = first_watched.load(std::memory_order_relaxed);
  first_watched.store(place, std::memory_order_release);
}

void unwatch(std::span<const std::byte> mapped) noexcept {
  const std::lock_guard lock(changing());
  const auto begin = reinterpret_cast<std::uintptr_t>(mapped.data());
  for (Watched* one = first_watched.load(std::memory_order_relaxed); one != nullptr; one = one->next) {
    if (one->begin.load(std::memory_order_relaxed) == begin) one->begin.store(0, std::memory_order_release);
  }
}

}  // namespace cadre::runtime
