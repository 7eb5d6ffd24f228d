#include "launch/launcher.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "launch/early_signals.h"
#include "launch/exit_code.h"
#include "launch/launcher_impl.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

using Error = boost::system::error_code;

// As nohup and a shell's background jobs wish it.
bool is_ignored(int number) {
  struct sigaction now = {};
  return sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

std::vector<std::string> hosts_of(const LaunchPlan& plan) {
  std::vector<std::string> hosts = plan.other_hosts;
  for (const IslandSpec& island : plan.islands) hosts.push_back(island.host);
  return hosts;
}

void check_plan(const LaunchPlan& plan) {
  if (plan.islands.empty() && plan.other_hosts.empty()) throw runtime::UserError("a run needs at least one rank");
  if (plan.islands.empty()) return;
  CADRE_CHECK(!plan.rank.empty() && plan.rank[0].starts_with('/'), "the rank's command is no absolute path");
  if (access(plan.rank[0].c_str(), X_OK) != 0) {
    throw runtime::UserError(plan.rank[0] + ": expected a program that this user may execute");
  }
}

}  // namespace

Launcher::Impl::Impl(LaunchPlan plan, LaunchCallbacks callbacks)
    : plan_(std::move(plan)),
      callbacks_(std::move(callbacks)),
      logs_(plan_.logs),
      listeners_(listen_towards(hosts_of(plan_))),
      endpoints_(endpoints_of(listeners_)),
      coordinator_(io_,
                   {.command = plan_.coordinator,
                    .environment = plan_.environment,
                    .boot_message =
                        [this](std::uint64_t term) {
                          lost_ranks_.coordinator_began();
                          return callbacks_.coordinator_boot(term, endpoints_, membership_->numbers());
                        },
                    .first_lines = [this] { return news_for_another_coordinator(); }},
                   listeners_, logs_,
                   {.report = [this](const boost::json::object& line) { take_report(line); },
                    .ended = [this](const AfterEnd& after) { coordinator_ended(after); }}),
      lost_ranks_(io_, {.silence = plan_.limits.silence, .restart = plan_.limits.restart}, logs_,
                  {.start = [this](const std::string& host, std::uint32_t rank) { start_again(host, rank); },
                   .killed = [this](std::uint32_t rank) { rank_killed(rank); },
                   .left_out = [this](std::uint32_t rank, const std::string& why) { leave_out(rank, why); }}),
      islands_by_host_(plan_.islands) {
  for (IslandSpec& island : islands_by_host_) {
    if (is_this_machine(island.host)) island.host.clear();
  }
  try {
    membership_ =
        std::make_unique<Membership>(io_, plan_.requests, plan_.islands, plan_.has_host_file, membership_callbacks());
  } catch (const runtime::RunError& error) {  // a run that nobody can ask is better than none
    logs_.launcher(runtime::say("no request is taken: ", error.what()));
    membership_ = std::make_unique<Membership>(io_, "", plan_.islands, false, membership_callbacks());
  }
}

LaunchResult Launcher::Impl::run() {
  adopt_orphans();
  struct sigaction ignore = {}, before = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &before);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    if (!is_ignored(number)) signals_.add(number);
  }
  children_.add(SIGCHLD);
  wait_for_signal();
  wait_for_child();
  if (const int number = early_signal(); number != 0) take_signal(number);

  try {
    coordinator_.start();
    std::uint32_t first_rank = 0;
    for (const IslandSpec& island : plan_.islands) {
      start_island(island, first_rank, Island::kNeeded);
      first_rank += island.ranks;
    }
    io_.run();
  } catch (...) {
    coordinator_.end_now();
    for (const auto& seat : seats_) seat->process->mpirun().signal_group(SIGKILL);
    end_adopted_children({}, std::chrono::seconds(2));
    throw;
  }

  membership_->end();
  // Whatever the ranks or mpirun have left, such as ranks whose mpirun was killed.
  end_adopted_children({}, std::chrono::seconds(2));
  sigaction(SIGPIPE, &before, nullptr);
  result_.result = coordinator_.result();
  logs_.launcher(runtime::say("the run ends with exit code ", result_.exit_code,
                              result_.reason.empty() ? "" : ": " + result_.reason));
  return result_;
}

void Launcher::Impl::wait_for_signal() {
  signals_.async_wait([this](const Error& error, int number) {
    if (error) return;
    wait_for_signal();
    take_signal(number);
  });
}

void Launcher::Impl::wait_for_child() {
  children_.async_wait([this](const Error& error, int) {
    if (error) return;
    wait_for_child();
    coordinator_.look();
    look_at_islands();
    adopted_children(own_children());  // reaps them
  });
}

void Launcher::Impl::take_signal(int number) {
  const std::string name = name_of_signal(number);
  logs_.launcher(name + " received");
  lost_ranks_.finish();
  if (++signals_taken_ == 1) {
    coordinator_.control({{"control", "stop"}, {"reason", name}}, true);
    return;
  }
  if (result_.reason.empty()) result_.reason = "a second signal (" + name + ") ended the run at once";
  end_at_once();
}

void Launcher::Impl::take_report(const boost::json::object& line) {
  if (lost_ranks_.take(line) || membership_->take(line)) return;
  callbacks_.on_report(line);
}

void Launcher::Impl::fail(const std::string& reason) {
  if (is_failing_ || coordinator_is_over_) return;
  is_failing_ = true;
  lost_ranks_.finish();
  result_.reason = reason;
  coordinator_.control({{"control", "fail"}, {"reason", reason}}, true);
  after(plan_.limits.fail, &Impl::end_coordinator);
}

void Launcher::Impl::desert() {
  if (is_deserted()) fail("no rank is left, and the coordinator does not end");
}

void Launcher::Impl::coordinator_ended(const AfterEnd& end) {
  coordinator_is_over_ = true;
  lost_ranks_.finish();
  listeners_.clear();  // nobody waits for an answer that does not come
  lost_ranks_.kill_absent();
  for (const auto& seat : seats_) {
    if (seat->kind != Island::kNeeded && !seat->process->is_booted()) seat->process->mpirun().signal(SIGTERM);
    // With its remote shell, which waits for a host that does not answer.
    if (is_lost(*seat)) seat->process->mpirun().kill_with_descendants();
  }
  result_.exit_code = end.exit_code;
  if (result_.reason.empty()) result_.reason = end.reason;
  if (is_failing_ || is_at_once_) result_.exit_code = kFailed;
  if (is_failing_) {
    terminate_islands();
  } else {
    after(plan_.limits.drain, &Impl::terminate_islands);
  }
  leave_when_over();
}

void Launcher::Impl::end_at_once() {
  is_at_once_ = true;
  coordinator_.end_now();
  kill_islands();
}

void Launcher::Impl::leave_when_over() {
  if (!coordinator_is_over_) return;
  if (std::any_of(seats_.begin(), seats_.end(), [](const auto& seat) { return !seat->is_over; })) return;
  io_.stop();
}

void Launcher::Impl::after(std::chrono::milliseconds delay, void (Impl::*what)()) {
  timers_.push_back(std::make_unique<boost::asio::steady_timer>(io_, delay));
  timers_.back()->async_wait([this, what](const Error& error) {
    if (!error) (this->*what)();
  });
}

Launcher::Launcher(LaunchPlan plan, LaunchCallbacks callbacks) {
  check_plan(plan);
  impl_ = std::make_unique<Impl>(std::move(plan), std::move(callbacks));
}

Launcher::~Launcher() = default;

const std::vector<runtime::Endpoint>& Launcher::listening() const {
  return impl_->endpoints();
}

LaunchResult Launcher::run() {
  return impl_->run();
}

void Launcher::start_island(const IslandSpec& island, std::uint32_t first_rank) {
  impl_->start_island(island, first_rank, Impl::Island::kReturning);
}

}  // namespace cadre::launch
