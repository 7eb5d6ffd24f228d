#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "launch/hosts.h"
#include "launch/launcher_impl.h"
#include "launch/listener.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

using Error = boost::system::error_code;

std::vector<std::string> names_of(const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::string> names;
  for (const auto& [name, value] : environment) names.push_back(name);
  return names;
}

}  // namespace

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
      failed_to_start(seat, runtime::say(island.name(), " did not start: mpirun ended with ", describe(ended),
                                         words.empty() ? "" : ": " + words));
    }
    logs_.launcher(runtime::say("mpirun of ", island.name(), " ended: ", describe(ended)));
    // On this machine ranks outlive their mpirun; on another one they end with it.
    if (island.is_booted() && island.host().empty()) continue;
    const bool never_came = seat.kind == Island::kInvited && !island.is_booted();
    for (std::uint32_t local = 0; local < island.ranks(); ++local) {
      const std::uint32_t rank = island.first_rank() + local;
      if (!seat.ended.insert(rank).second) continue;
      lost_ranks_.ended(rank);
      tell_ended(rank, "its mpirun ended: " + describe(ended));
      if (never_came) {
        leave_out(rank, runtime::say(island.name(), " did not come: mpirun ended with ", describe(ended)));
      } else {
        lose(seat, rank);
      }
    }
  }
  membership_->rank_ended();
  if (is_deserted() && !coordinator_is_over_ && !is_failing_) after(plan_.limits.deserted, &Impl::desert);
  leave_when_over();
}

void Launcher::Impl::rank_booted(Seat& seat, std::uint32_t rank, pid_t pid) {
  if (!seat.begins_anew) {
    lost_ranks_.started(seat.process->host(), rank, pid);
    processes_[rank] = pid;
  }
  if (seat.process->is_booted()) seat.boot_timer->cancel();
}

void Launcher::Impl::rank_ended(Seat& seat, std::uint32_t rank, const Ended& how) {
  if (seat.begins_anew || seat.ended.contains(rank)) return;
  if (seat.process->is_booted(rank)) {
    tell_ended(rank, describe(how));
    seat.ended.insert(rank);
    lost_ranks_.ended(rank);
    if (how.signal != 0 || how.code != 0) lose(seat, rank);
    membership_->rank_ended();
    return;
  }
  const std::string words = seat.process->last_words(rank);
  const std::string why = runtime::say("rank ", rank, seat.process->host().empty() ? "" : " on " + seat.process->host(),
                                       " ended before it had started, with ", describe(how),
                                       words.empty() ? "" : ": " + words, " (", RunLogs::name_of_rank(rank), ")");
  if (how.signal == 0 || !begin_anew(seat, why)) failed_to_start(seat, why);
}

// Another coordinator hears it again: the rank's process may have been a member, and ended with the one before.
void Launcher::Impl::tell_ended(std::uint32_t rank, const std::string& how) {
  const auto process = processes_.find(rank);
  if (process == processes_.end()) return;
  ended_[rank] = {{"control", "rank_ended"}, {"rank", rank}, {"pid", process->second}, {"how", how}};
  coordinator_.control(ended_[rank]);
}

std::vector<boost::json::object> Launcher::Impl::news_for_another_coordinator() const {
  std::vector<boost::json::object> lines = membership_->drains();
  for (const auto& [rank, line] : ended_) lines.push_back(line);
  return lines;
}

// Its shell may be stopped, or gone, and not say it.
void Launcher::Impl::rank_killed(std::uint32_t rank) {
  for (const auto& seat : seats_) {
    if (seat->has(rank) && seat->process->is_booted(rank)) rank_ended(*seat, rank, {.signal = SIGKILL});
  }
}

// The others of an island of which one was killed wait in MPI_Init for ever.
bool Launcher::Impl::begin_anew(Seat& seat, const std::string& why) {
  if (is_ending() || seat.kind != Island::kNeeded || !lost_ranks_.may_begin_anew(seat.process->first_rank()))
    return false;
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
  if (seat.kind == Island::kNeeded) fail(why);
}

Membership::Callbacks Launcher::Impl::membership_callbacks() {
  Membership::Callbacks callbacks;
  callbacks.control = [this](const boost::json::object& line) { coordinator_.control(line); };
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
  callbacks.warn = [this](const std::string& problem) { callbacks_.on_report({{"warning", problem}}); };
  return callbacks;
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
    return seat->has(rank) && !seat->is_over && !seat->ended.contains(rank);
  });
}

void Launcher::Impl::lose(const Seat& seat, std::uint32_t rank) {
  if (!membership_->is_drained(rank)) lost_ranks_.start_again(seat.process->host(), rank);
}

// It may have been drained meanwhile, and invited.
void Launcher::Impl::start_again(const std::string& host, std::uint32_t rank) {
  if (membership_->is_drained(rank) || is_running(rank)) return;
  start_island({.host = host, .ranks = 1}, rank, Island::kReturning);
}

void Launcher::Impl::leave_out(std::uint32_t rank, const std::string& why) {
  coordinator_.control({{"control", "left_out"}, {"rank", rank}, {"reason", why}}, true);
}

// Never without islands of ours: what others start is the coordinator's to judge. Ranks may outlive their mpirun.
bool Launcher::Impl::is_deserted() const {
  const auto is_empty = [this](const auto& seat) {
    if (!seat->is_over) return false;
    for (std::uint32_t local = 0; local < seat->process->ranks(); ++local) {
      if (lost_ranks_.is_alive(seat->process->first_rank() + local)) return false;
    }
    return true;
  };
  return !seats_.empty() && to_come_ == 0 && !lost_ranks_.any_to_come() &&
         std::all_of(seats_.begin(), seats_.end(), is_empty);
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

}  // namespace cadre::launch
