#include "launch/lost_ranks.h"

#include <poll.h>

extern "C" {  // which glibc's header left out before 2.37
#include <sys/pidfd.h>
}

#include <algorithm>
#include <csignal>

#include "launch/restart_policy.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

using Clock = std::chrono::steady_clock;
using Error = boost::system::error_code;

constexpr std::chrono::milliseconds kLook{500};
// What fails again and again fails for a reason that people should hear soon.
constexpr std::size_t kMostAnew = 2;

}  // namespace

LostRanks::LostRanks(boost::asio::io_context& io, const Limits& limits, RunLogs& logs, Callbacks callbacks)
    : io_(io),
      logs_(logs),
      callbacks_(std::move(callbacks)),
      restart_(limits.restart),
      absences_(limits.silence),
      watch_(io) {
  watch();
}

void LostRanks::started(const std::string& host, std::uint32_t rank, pid_t pid) {
  absences_.started(rank, Clock::now());
  if (!host.empty() || pid <= 0) return;
  processes_[rank] = Descriptor(pidfd_open(pid, 0));
  if (!processes_[rank]) processes_.erase(rank);
}

void LostRanks::ended(std::uint32_t rank) {
  absences_.ended(rank);
  processes_.erase(rank);
  gone_.erase(rank);
}

bool LostRanks::take(const boost::json::object& report) {
  if (const auto* joined = report.if_contains("rank_joined")) {
    absences_.joined(joined->to_number<std::uint32_t>());
  } else if (const auto* lost = report.if_contains("rank_lost")) {
    absences_.lost(lost->to_number<std::uint32_t>(), report.at("was_member").as_bool(), Clock::now());
  } else {
    return false;
  }
  return true;
}

void LostRanks::watch() {
  watch_.expires_after(kLook);
  watch_.async_wait([this, began = Clock::now()](const Error& error) {
    if (error || is_over_) return;
    watch();
    // This process itself may have been stopped; what has come meanwhile is read first.
    const auto now = Clock::now();
    if (now - began > 2 * kLook) return;
    const auto due = absences_.due(now);
    for (const std::uint32_t rank : absences_.absent()) {
      // Of one whose mpirun has ended nobody says that it has; the others' say so sooner than the second look.
      const bool gone = is_gone(rank) && !gone_.insert(rank).second;
      if (!gone && std::find(due.begin(), due.end(), rank) == due.end()) continue;
      if (!gone && !kill(rank)) continue;
      logs_.launcher(gone ? runtime::say("rank ", rank, " has ended unseen")
                          : runtime::say("rank ", rank,
                                         " is killed: its process lives, and the coordinator has not "
                                         "heard it for too long"));
      ended(rank);
      callbacks_.killed(rank);
    }
  });
}

bool LostRanks::is_gone(std::uint32_t rank) const {
  const auto found = processes_.find(rank);
  if (found == processes_.end() || !found->second) return false;
  pollfd process{found->second.get(), POLLIN, 0};
  return ::poll(&process, 1, 0) == 1;
}

bool LostRanks::kill(std::uint32_t rank) {
  const auto found = processes_.find(rank);
  return found != processes_.end() && found->second && pidfd_send_signal(found->second.get(), SIGKILL, nullptr, 0) == 0;
}

void LostRanks::kill_absent() {
  for (const std::uint32_t rank : absences_.absent()) kill(rank);
}

bool LostRanks::may_begin_anew(std::uint32_t first_rank) {
  auto& starts = starts_[first_rank];
  if (is_over_ || starts.size() >= kMostAnew) return false;
  starts.push_back(Clock::now());
  return true;
}

void LostRanks::start_again(const std::string& host, std::uint32_t rank) {
  if (is_over_) return;
  auto& starts = starts_[rank];
  const auto now = Clock::now();
  const auto delay = restart_delay(starts, now, restart_);
  if (!delay) {
    const std::string why = runtime::say("rank ", rank, host.empty() ? "" : " on " + host, " was lost again after ",
                                         starts.size(), " restarts and is left out; see ", RunLogs::name_of_rank(rank));
    logs_.launcher(why);
    return callbacks_.left_out(rank, why);
  }
  logs_.launcher(runtime::say("rank ", rank, " is started again in ", delay->count() / 1000.0, " s"));
  starts.push_back(now + *delay);
  ++to_come_;
  timers_.push_back(std::make_unique<boost::asio::steady_timer>(io_, *delay));
  timers_.back()->async_wait([this, host, rank](const Error& error) {
    --to_come_;
    if (error || is_over_) return;
    try {
      callbacks_.start(host, rank);
    } catch (const std::exception& problem) {
      logs_.launcher(runtime::say("rank ", rank, " cannot be started again: ", problem.what()));
      start_again(host, rank);
    }
  });
}

void LostRanks::finish() {
  is_over_ = true;
  watch_.cancel();
}

}  // namespace cadre::launch
