#include "launch/launcher.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <map>
#include <set>

#include "launch/coordinator_process.h"
#include "launch/early_signals.h"
#include "launch/exit_code.h"
#include "launch/hosts.h"
#include "launch/island_process.h"
#include "launch/listener.h"
#include "launch/membership.h"
#include "launch/restart_policy.h"
#include "runtime/error.h"
#include "runtime/scratch_folder.h"

namespace cadre::launch {
namespace {

using Error = boost::system::error_code;

// Where the mpiruns of this machine keep what they need; each makes folders in it, and leaves them when it is killed.
class Scratch {
 public:
  Scratch() {
    try {
      folder_.emplace("/tmp/cadre");
    } catch (const runtime::RunError&) {  // mpirun has a place of its own choice
    }
  }
  // Islands that begin at the same time would make the same folders, and one of them would fail.
  std::string of_island(std::uint32_t number) const {
    if (!folder_) return {};
    const std::filesystem::path folder = folder_->path() / std::to_string(number);
    std::error_code ignored;  // mpirun says what it cannot make
    std::filesystem::create_directory(folder, ignored);
    return folder.string();
  }

 private:
  std::optional<runtime::ScratchFolder> folder_;
};

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

std::vector<std::string> names_of(const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::string> names;
  for (const auto& [name, value] : environment) names.push_back(name);
  return names;
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

class Launcher::Impl {
 public:
  Impl(LaunchPlan plan, LaunchCallbacks callbacks)
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
                            return callbacks_.coordinator_boot(term, endpoints_, membership_->numbers());
                          }},
                     listeners_, logs_,
                     {.report = [this](const boost::json::object& line) { take_report(line); },
                      .ended = [this](const AfterEnd& after) { coordinator_ended(after); }}),
        islands_by_host_(plan_.islands) {
    for (IslandSpec& island : islands_by_host_) {
      if (is_this_machine(island.host)) island.host.clear();
    }
    try {
      membership_ = std::make_unique<Membership>(io_, plan_.requests, plan_.islands, membership_callbacks());
    } catch (const runtime::RunError& error) {  // a run that nobody can ask is better than none
      logs_.launcher(runtime::say("no request is taken: ", error.what()));
      membership_ = std::make_unique<Membership>(io_, "", plan_.islands, membership_callbacks());
    }
  }

  LaunchResult run();
  enum class Island { kNeeded, kReturning, kInvited };
  void start_island(const IslandSpec& spec, std::uint32_t first_rank, Island kind);
  const std::vector<runtime::Endpoint>& endpoints() const { return endpoints_; }

 private:
  // An island; the run cannot begin without those that are needed.
  struct Seat {
    std::unique_ptr<IslandProcess> process;
    std::unique_ptr<boost::asio::steady_timer> boot_timer;
    Island kind = Island::kNeeded;
    bool is_over = false;
    bool begins_anew = false;            // when its mpirun has ended
    std::set<std::uint32_t> ended = {};  // of its ranks
  };

  Membership::Callbacks membership_callbacks();
  void take_report(const boost::json::object& line);
  void invite(IslandSpec spec, std::uint32_t first_rank);
  bool is_running(std::uint32_t rank) const;
  void leave_out(std::uint32_t rank, const std::string& why);
  void wait_for_signal();
  void wait_for_child();
  void take_signal(int number);
  void look_at_islands();
  void rank_ended(Seat& seat, std::uint32_t rank, const Ended& how);
  void failed_to_start(Seat& seat, const std::string& why);
  void start_again(Seat& seat, std::uint32_t rank);
  bool begin_anew(Seat& seat, const std::string& why);
  bool is_ending() const { return coordinator_is_over_ || is_failing_ || is_at_once_ || signals_taken_ > 0; }
  void fail(const std::string& reason);
  void coordinator_ended(const AfterEnd& after);
  void terminate_islands();
  void end_at_once();
  void leave_when_over();
  void after(std::chrono::milliseconds delay, void (Impl::*what)());
  void end_coordinator() { coordinator_.end_now(); }
  void kill_islands();
  void end_orphans();
  bool is_deserted() const;
  void desert();
  std::vector<pid_t> own_children() const;

  LaunchPlan plan_;
  LaunchCallbacks callbacks_;
  RunLogs logs_;
  Scratch scratch_;
  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_{io_}, children_{io_};
  std::vector<std::unique_ptr<boost::asio::steady_timer>> timers_;
  std::vector<Listener> listeners_;
  std::vector<runtime::Endpoint> endpoints_;
  CoordinatorProcess coordinator_;
  std::vector<IslandSpec> islands_by_host_;  // the plan's and those invited; this machine has one name
  std::unique_ptr<Membership> membership_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::map<std::uint32_t, std::vector<std::chrono::steady_clock::time_point>> restarts_;  // by rank
  LaunchResult result_;
  int to_come_ = 0;  // islands that are about to be started again
  int signals_taken_ = 0;
  bool coordinator_is_over_ = false;
  bool is_failing_ = false;
  bool is_at_once_ = false;
};

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

Membership::Callbacks Launcher::Impl::membership_callbacks() {
  Membership::Callbacks callbacks;
  callbacks.control = [this](const boost::json::object& line) { coordinator_.control(line, true); };
  callbacks.hosts_of_ranks = callbacks_.hosts_of_ranks;
  callbacks.start = [this](const IslandSpec& spec, std::uint32_t first_rank) { invite(spec, first_rank); };
  callbacks.is_running = [this](std::uint32_t rank) { return is_running(rank); };
  callbacks.why_nobody_may = [this]() -> std::string {
    if (is_ending()) return "the run is about to end";
    return plan_.islands.empty() ? "its ranks are those of an mpirun that was started by a user" : "";
  };
  callbacks.why_not_joined = [this](const std::string& host) -> std::string {
    if (is_listening_towards(host, endpoints_)) return {};
    return "the run does not listen towards host " + host +
           "; stop it and name the host in --hosts: it goes on from there";
  };
  return callbacks;
}

void Launcher::Impl::take_report(const boost::json::object& line) {
  if (const auto* drain = line.if_contains("drain"); drain != nullptr && drain->is_object()) {
    return membership_->take_report(drain->get_object());
  }
  callbacks_.on_report(line);
}

void Launcher::Impl::invite(IslandSpec spec, std::uint32_t first_rank) {
  if (is_this_machine(spec.host)) spec.host.clear();
  std::uint32_t known = 0;
  for (const IslandSpec& island : islands_by_host_) known += island.ranks;
  // New numbers follow those that were there, and have a place on their host from now on.
  const std::uint32_t after = first_rank + spec.ranks;
  if (after > known) islands_by_host_.push_back({.host = spec.host, .ranks = after - known});
  start_island(spec, first_rank, Island::kInvited);
}

bool Launcher::Impl::is_running(std::uint32_t rank) const {
  return std::any_of(seats_.begin(), seats_.end(), [rank](const auto& seat) {
    const IslandProcess& island = *seat->process;
    const bool has = rank >= island.first_rank() && rank < island.first_rank() + island.ranks();
    return has && !seat->is_over && !seat->ended.contains(rank);
  });
}

void Launcher::Impl::start_island(const IslandSpec& spec, std::uint32_t first_rank, Island kind) {
  auto made = std::make_unique<Seat>();
  Seat& seat = *made;
  seat.kind = kind;
  const auto number = static_cast<std::uint32_t>(seats_.size());
  const bool is_local = is_this_machine(spec.host);
  const PlaceOnHost place = place_on_host(islands_by_host_, is_local ? "" : spec.host, first_rank);
  Boot boot = callbacks_.rank_boot(number, first_rank, endpoints_);
  boot.first_on_host = place.before;
  boot.ranks_on_host = place.ranks;
  const std::string scratch = scratch_.of_island(number);
  auto environment = plan_.environment;
  // Another host has not this folder: for what mpirun itself makes here, and ssh does not hand it on.
  if (!is_local && !scratch.empty()) environment.emplace_back("TMPDIR", scratch);
  seat.process = std::make_unique<IslandProcess>(
      io_,
      IslandProcess::Options{.first_rank = first_rank,
                             .boot_message = print_boot(boot),
                             .command = {.host = is_local ? "" : spec.host,
                                         .ranks = spec.ranks,
                                         .rank_command = plan_.rank,
                                         .variables = names_of(plan_.environment),
                                         .scratch = is_local ? scratch : "",
                                         .is_root = geteuid() == 0},
                             .environment = std::move(environment)},
      logs_,
      IslandProcess::Callbacks{
          .booted = [&seat] { seat.boot_timer->cancel(); },
          .rank_ended = [this, &seat](std::uint32_t rank, const Ended& how) { rank_ended(seat, rank, how); },
          .closed = [this] { look_at_islands(); }});
  seat.boot_timer = std::make_unique<boost::asio::steady_timer>(io_, plan_.limits.boot);
  seat.boot_timer->async_wait([this, &seat](const Error& error) {
    if (error || seat.begins_anew || seat.process->is_booted()) return;
    failed_to_start(
        seat, runtime::say(seat.process->name(), " did not start within ", plan_.limits.boot.count() / 1000.0, " s"));
  });
  seats_.push_back(std::move(made));
  logs_.launcher(runtime::say("mpirun of ", seat.process->name(), " is process ", seat.process->mpirun().pid()));
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
  const std::string name = number == SIGINT ? "SIGINT" : number == SIGHUP ? "SIGHUP" : "SIGTERM";
  logs_.launcher(name + " received");
  if (++signals_taken_ == 1) {
    coordinator_.control({{"control", "stop"}, {"reason", name}}, true);
    return;
  }
  if (result_.reason.empty()) result_.reason = "a second signal (" + name + ") ended the run at once";
  end_at_once();
}

void Launcher::Impl::look_at_islands() {
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    Seat& seat = *seats_[i];
    if (seat.is_over || !seat.process->is_over()) continue;
    seat.is_over = true;
    IslandProcess& island = *seat.process;
    if (seat.begins_anew) {
      --to_come_;
      if (!is_ending()) start_island({.host = island.host(), .ranks = island.ranks()}, island.first_rank(), seat.kind);
      continue;
    }
    const Ended ended = *island.mpirun().ended();
    if (!island.is_booted()) {
      const std::string words = island.last_words_of_mpirun();
      const std::string why = runtime::say(island.name(), " did not start: mpirun ended with ", describe(ended),
                                           words.empty() ? "" : ": " + words);
      failed_to_start(seat, why);
    }
    logs_.launcher(runtime::say("mpirun of ", island.name(), " ended: ", describe(ended)));
    coordinator_.control({{"control", "island_ended"},
                          {"first_rank", island.first_rank()},
                          {"ranks", island.ranks()},
                          {"how", describe(ended)}});
    // On this machine ranks outlive their mpirun; on another one they end with it.
    if (island.is_booted() && island.host().empty()) continue;
    const bool never_came = seat.kind == Island::kInvited && !island.is_booted();
    for (std::uint32_t local = 0; local < island.ranks(); ++local) {
      const std::uint32_t rank = island.first_rank() + local;
      if (seat.ended.contains(rank)) continue;
      if (never_came) {
        leave_out(rank, runtime::say(island.name(), " did not come: mpirun ended with ", describe(ended)));
      } else {
        start_again(seat, rank);
      }
    }
  }
  membership_->rank_ended();
  if (is_deserted() && !coordinator_is_over_ && !is_failing_) after(plan_.limits.deserted, &Impl::desert);
  leave_when_over();
}

void Launcher::Impl::rank_ended(Seat& seat, std::uint32_t rank, const Ended& how) {
  if (seat.begins_anew) return;
  if (seat.process->is_booted(rank)) {
    coordinator_.control({{"control", "rank_ended"}, {"rank", rank}, {"how", describe(how)}});
    seat.ended.insert(rank);
    if (how.signal != 0 || how.code != 0) start_again(seat, rank);
    membership_->rank_ended();
    return;
  }
  const std::string words = seat.process->last_words(rank);
  const std::string why = runtime::say("rank ", rank, seat.process->host().empty() ? "" : " on " + seat.process->host(),
                                       " ended before it had started, with ", describe(how),
                                       words.empty() ? "" : ": " + words, " (", RunLogs::name_of_rank(rank), ")");
  if (how.signal == 0 || !begin_anew(seat, why)) failed_to_start(seat, why);
}

// The others of an island of which one was killed wait in MPI_Init for ever.
bool Launcher::Impl::begin_anew(Seat& seat, const std::string& why) {
  std::vector<std::chrono::steady_clock::time_point>& starts = restarts_[seat.process->first_rank()];
  const auto now = std::chrono::steady_clock::now();
  constexpr std::size_t kMost = 2;  // what fails again and again fails for a reason that people should hear soon
  if (is_ending() || seat.kind != Island::kNeeded || starts.size() >= kMost) return false;
  starts.push_back(now);
  ++to_come_;
  seat.begins_anew = true;
  logs_.launcher(why + "; the island begins anew");
  seat.process->mpirun().signal(SIGTERM);
  return true;
}

// A lost rank comes back as an island of one. While the old process lives the coordinator refuses the new one, which is
// a loss like others.
void Launcher::Impl::start_again(Seat& seat, std::uint32_t rank) {
  if (is_ending() || membership_->is_drained(rank)) return;
  std::vector<std::chrono::steady_clock::time_point>& starts = restarts_[rank];
  const auto now = std::chrono::steady_clock::now();
  const std::string host = seat.process->host();
  const auto delay = restart_delay(starts, now);
  if (!delay) {
    const std::string why = runtime::say("rank ", rank, host.empty() ? "" : " on " + host, " was lost again after ",
                                         starts.size(), " restarts and is left out; see ", RunLogs::name_of_rank(rank));
    return leave_out(rank, why);
  }
  logs_.launcher(runtime::say("rank ", rank, " is started again in ", delay->count() / 1000.0, " s"));
  starts.push_back(now + *delay);
  ++to_come_;
  timers_.push_back(std::make_unique<boost::asio::steady_timer>(io_, *delay));
  timers_.back()->async_wait([this, host, rank](const Error& error) {
    --to_come_;
    if (error || is_ending() || membership_->is_drained(rank)) return;
    try {
      start_island({.host = host, .ranks = 1}, rank, Island::kReturning);
    } catch (const std::exception& problem) {
      logs_.launcher(runtime::say("rank ", rank, " cannot be started again: ", problem.what()));
    }
  });
}

void Launcher::Impl::leave_out(std::uint32_t rank, const std::string& why) {
  logs_.launcher(why);
  coordinator_.control({{"control", "left_out"}, {"rank", rank}, {"reason", why}});
}

// Its other ranks wait in MPI_Init for ever.
void Launcher::Impl::failed_to_start(Seat& seat, const std::string& why) {
  logs_.launcher(why);
  seat.process->mpirun().signal(SIGTERM);
  if (seat.kind == Island::kNeeded) fail(why);
}

void Launcher::Impl::fail(const std::string& reason) {
  if (is_failing_ || coordinator_is_over_) return;
  is_failing_ = true;
  result_.reason = reason;
  coordinator_.control({{"control", "fail"}, {"reason", reason}}, true);
  after(plan_.limits.fail, &Impl::end_coordinator);
}

// Never without islands of ours: what others start is the coordinator's to judge.
bool Launcher::Impl::is_deserted() const {
  return !seats_.empty() && to_come_ == 0 &&
         std::all_of(seats_.begin(), seats_.end(), [](const auto& seat) { return seat->is_over; });
}

void Launcher::Impl::desert() {
  if (is_deserted()) fail("no rank is left, and the coordinator does not end");
}

void Launcher::Impl::coordinator_ended(const AfterEnd& end) {
  coordinator_is_over_ = true;
  listeners_.clear();  // nobody waits for an answer that does not come
  for (const auto& seat : seats_) {
    if (seat->kind != Island::kNeeded && !seat->process->is_booted()) seat->process->mpirun().signal(SIGTERM);
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

void Launcher::Impl::terminate_islands() {
  for (const auto& seat : seats_) {
    if (!seat->is_over) logs_.launcher("not ended yet, so that mpirun is told to: " + seat->process->name());
    seat->process->mpirun().signal(SIGTERM);
  }
  after(plan_.limits.terminate, &Impl::kill_islands);
}

void Launcher::Impl::kill_islands() {
  for (const auto& seat : seats_) seat->process->mpirun().signal_group(SIGKILL);
  // Their ranks on this machine are ours when they are gone.
  after(std::chrono::milliseconds(50), &Impl::end_orphans);
}

void Launcher::Impl::end_orphans() {
  end_adopted_children(own_children(), std::chrono::seconds(1));
}

std::vector<pid_t> Launcher::Impl::own_children() const {
  std::vector<pid_t> pids = coordinator_.pids();
  for (const auto& seat : seats_) {
    if (!seat->process->mpirun().ended()) pids.push_back(seat->process->mpirun().pid());
  }
  return pids;
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
