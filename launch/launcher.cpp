#include "launch/launcher.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <set>

#include "launch/coordinator_process.h"
#include "launch/early_signals.h"
#include "launch/exit_code.h"
#include "launch/hosts.h"
#include "launch/island_process.h"
#include "launch/listener.h"
#include "launch/lost_ranks.h"
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
                            lost_ranks_.coordinator_began();
                            return callbacks_.coordinator_boot(term, endpoints_);
                          }},
                     listeners_, logs_,
                     {.report = [this](const boost::json::object& line) { take_report(line); },
                      .ended = [this](const AfterEnd& after) { coordinator_ended(after); }}),
        lost_ranks_(io_, {.silence = plan_.limits.silence, .restart = plan_.limits.restart}, logs_,
                    {.start = [this](const std::string& host,
                                     std::uint32_t rank) { start_island({.host = host, .ranks = 1}, rank, false); },
                     .killed = [this](std::uint32_t rank) { rank_killed(rank); },
                     .left_out =
                         [this](std::uint32_t rank, const std::string& why) {
                           coordinator_.control({{"control", "left_out"}, {"rank", rank}, {"reason", why}}, true);
                         }}),
        islands_by_host_(plan_.islands) {
    for (IslandSpec& island : islands_by_host_) {
      if (is_this_machine(island.host)) island.host.clear();
    }
  }

  LaunchResult run();
  void start_island(const IslandSpec& spec, std::uint32_t first_rank, bool is_needed);
  const std::vector<runtime::Endpoint>& endpoints() const { return endpoints_; }

 private:
  // An island, and whether the run cannot begin without it.
  struct Seat {
    bool has(std::uint32_t rank) const { return rank - process->first_rank() < process->ranks(); }

    std::unique_ptr<IslandProcess> process;
    std::unique_ptr<boost::asio::steady_timer> boot_timer;
    bool is_needed = false;
    bool is_over = false;
    bool begins_anew = false;            // when its mpirun has ended
    std::set<std::uint32_t> ended = {};  // of its ranks
  };

  void wait_for_signal();
  void wait_for_child();
  void take_signal(int number);
  void look_at_islands();
  void take_report(const boost::json::object& line);
  void rank_booted(Seat& seat, std::uint32_t rank, pid_t pid);
  void rank_ended(Seat& seat, std::uint32_t rank, const Ended& how);
  void rank_killed(std::uint32_t rank);
  void failed_to_start(Seat& seat, const std::string& why);
  bool begin_anew(Seat& seat, const std::string& why);
  bool is_ending() const { return coordinator_is_over_ || is_failing_ || is_at_once_ || signals_taken_ > 0; }
  void fail(const std::string& reason);
  void coordinator_ended(const AfterEnd& after);
  bool is_lost(const Seat& seat) const;
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
  LostRanks lost_ranks_;
  std::vector<IslandSpec> islands_by_host_;  // the plan's; this machine has one name
  std::vector<std::unique_ptr<Seat>> seats_;
  LaunchResult result_;
  int to_come_ = 0;  // islands that are about to begin anew
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
      start_island(island, first_rank, true);
      first_rank += island.ranks;
    }
    io_.run();
  } catch (...) {
    coordinator_.end_now();
    for (const auto& seat : seats_) seat->process->mpirun().signal_group(SIGKILL);
    end_adopted_children({}, std::chrono::seconds(2));
    throw;
  }

  // Whatever the ranks or mpirun have left, such as ranks whose mpirun was killed.
  end_adopted_children({}, std::chrono::seconds(2));
  sigaction(SIGPIPE, &before, nullptr);
  result_.result = coordinator_.result();
  logs_.launcher(runtime::say("the run ends with exit code ", result_.exit_code,
                              result_.reason.empty() ? "" : ": " + result_.reason));
  return result_;
}

void Launcher::Impl::start_island(const IslandSpec& spec, std::uint32_t first_rank, bool is_needed) {
  auto made = std::make_unique<Seat>();
  Seat& seat = *made;
  seat.is_needed = is_needed;
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
          .booted = [this, &seat](std::uint32_t rank, pid_t pid) { rank_booted(seat, rank, pid); },
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
  lost_ranks_.finish();
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
      if (!is_ending()) start_island({.host = island.host(), .ranks = island.ranks()}, island.first_rank(), true);
      continue;
    }
    const Ended ended = *island.mpirun().ended();
    if (!island.is_booted()) {
      const std::string words = island.last_words_of_mpirun();
      failed_to_start(seat, runtime::say(island.name(), " did not start: mpirun ended with ", describe(ended),
                                         words.empty() ? "" : ": " + words));
    }
    logs_.launcher(runtime::say("mpirun of ", island.name(), " ended: ", describe(ended)));
    coordinator_.control({{"control", "island_ended"},
                          {"first_rank", island.first_rank()},
                          {"ranks", island.ranks()},
                          {"how", describe(ended)}});
    // On this machine ranks outlive their mpirun; on another one they end with it.
    if (island.is_booted() && island.host().empty()) continue;
    for (std::uint32_t local = 0; local < island.ranks(); ++local) {
      const std::uint32_t rank = island.first_rank() + local;
      if (!seat.ended.insert(rank).second) continue;
      lost_ranks_.ended(rank);
      lost_ranks_.start_again(island.host(), rank);
    }
  }
  if (is_deserted() && !coordinator_is_over_ && !is_failing_) after(plan_.limits.deserted, &Impl::desert);
  leave_when_over();
}

void Launcher::Impl::take_report(const boost::json::object& line) {
  if (!lost_ranks_.take(line)) callbacks_.on_report(line);
}

void Launcher::Impl::rank_booted(Seat& seat, std::uint32_t rank, pid_t pid) {
  if (!seat.begins_anew) lost_ranks_.started(seat.process->host(), rank, pid);
  if (seat.process->is_booted()) seat.boot_timer->cancel();
}

void Launcher::Impl::rank_ended(Seat& seat, std::uint32_t rank, const Ended& how) {
  if (seat.begins_anew || seat.ended.contains(rank)) return;
  if (seat.process->is_booted(rank)) {
    coordinator_.control({{"control", "rank_ended"}, {"rank", rank}, {"how", describe(how)}});
    seat.ended.insert(rank);
    lost_ranks_.ended(rank);
    if (how.signal != 0 || how.code != 0) lost_ranks_.start_again(seat.process->host(), rank);
    return;
  }
  const std::string words = seat.process->last_words(rank);
  const std::string why = runtime::say("rank ", rank, seat.process->host().empty() ? "" : " on " + seat.process->host(),
                                       " ended before it had started, with ", describe(how),
                                       words.empty() ? "" : ": " + words, " (", RunLogs::name_of_rank(rank), ")");
  if (how.signal == 0 || !begin_anew(seat, why)) failed_to_start(seat, why);
}

// Its shell may be stopped, or gone, and not say it.
void Launcher::Impl::rank_killed(std::uint32_t rank) {
  for (const auto& seat : seats_) {
    if (seat->has(rank) && seat->process->is_booted(rank)) rank_ended(*seat, rank, {.signal = SIGKILL});
  }
}

// The others of an island of which one was killed wait in MPI_Init for ever.
bool Launcher::Impl::begin_anew(Seat& seat, const std::string& why) {
  if (is_ending() || !seat.is_needed || !lost_ranks_.may_begin_anew(seat.process->first_rank())) return false;
  ++to_come_;
  seat.begins_anew = true;
  for (std::uint32_t local = 0; local < seat.process->ranks(); ++local) {
    lost_ranks_.ended(seat.process->first_rank() + local);
  }
  logs_.launcher(why + "; the island begins anew");
  seat.process->mpirun().signal(SIGTERM);
  return true;
}

// Its other ranks wait in MPI_Init for ever.
void Launcher::Impl::failed_to_start(Seat& seat, const std::string& why) {
  logs_.launcher(why);
  seat.process->mpirun().signal(SIGTERM);
  if (seat.is_needed) fail(why);
}

void Launcher::Impl::fail(const std::string& reason) {
  if (is_failing_ || coordinator_is_over_) return;
  is_failing_ = true;
  lost_ranks_.finish();
  result_.reason = reason;
  coordinator_.control({{"control", "fail"}, {"reason", reason}}, true);
  after(plan_.limits.fail, &Impl::end_coordinator);
}

// Never without islands of ours: what others start is the coordinator's to judge.
bool Launcher::Impl::is_deserted() const {
  return !seats_.empty() && to_come_ == 0 && !lost_ranks_.any_to_come() &&
         std::all_of(seats_.begin(), seats_.end(), [](const auto& seat) { return seat->is_over; });
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
    if (!seat->is_needed && !seat->process->is_booted()) seat->process->mpirun().signal(SIGTERM);
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

// Its ranks, or its host, do not hear that the run is over.
bool Launcher::Impl::is_lost(const Seat& seat) const {
  bool any_is_absent = false;
  for (std::uint32_t local = 0; local < seat.process->ranks(); ++local) {
    const std::uint32_t rank = seat.process->first_rank() + local;
    if (seat.ended.contains(rank)) continue;
    if (!lost_ranks_.is_absent(rank)) return false;
    any_is_absent = true;
  }
  return any_is_absent;
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
  impl_->start_island(island, first_rank, false);
}

}  // namespace cadre::launch
