#include "launch/membership.h"

#include <algorithm>
#include <atomic>
#include <boost/json/array.hpp>
#include <thread>
#include <utility>

#include "launch/hosts.h"
#include "launch/listener.h"
#include "runtime/error.h"
#include "runtime/json_fields.h"
#include "runtime/plain_text.h"
#include "runtime/run_lock.h"

namespace cadre::launch {
namespace {

constexpr std::chrono::milliseconds kLook{200};

boost::json::array as_json(const RankNumbers& ranks) {
  return boost::json::array(ranks.begin(), ranks.end());
}

}  // namespace

// On a thread of its own, which may outlive all else: a name server can take half a minute to say nothing.
struct Membership::Lookup {
  std::string problem = {};
  std::atomic<bool> is_done = false;
};

std::shared_ptr<Membership::Lookup> Membership::look_up(const std::string& host) {
  auto lookup = std::make_shared<Lookup>();
  std::thread([lookup, host] {
    try {
      is_this_machine(host);
    } catch (const std::exception& error) {
      lookup->problem = error.what();
    }
    lookup->is_done = true;
  }).detach();
  return lookup;
}

Membership::Membership(boost::asio::io_context& io, const std::filesystem::path& run,
                       const std::vector<IslandSpec>& islands, bool has_host_file, Callbacks callbacks)
    : callbacks_(std::move(callbacks)), hosts_(islands), timer_(io) {
  if (run.empty()) return;
  box_ = std::make_unique<RequestBox>(run);
  try {
    if (has_host_file) host_file_ = std::make_unique<HostFile>(run, islands);
  } catch (const runtime::RunError& error) {
    callbacks_.warn(runtime::say("the run does not grow by its host file: ", error.what()));
  }
  look();
}

void Membership::end() {
  timer_.cancel();
  box_.reset();
  host_file_.reset();
  drains_.clear();
}

void Membership::look() {
  timer_.expires_after(kLook);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || box_ == nullptr) return;
    for (const RequestBox::Asked& asked : box_->take()) take(asked);
    look_at_host_file();
    look();
  });
}

void Membership::look_at_host_file() {
  if (host_file_ == nullptr) return;
  try {
    for (const IslandSpec& host : host_file_->raised()) {
      const auto same = std::ranges::find(wanted_, host.host, &IslandSpec::host);
      if (same == wanted_.end()) {
        wanted_.push_back(host);
      } else {
        same->ranks = host.ranks;
      }
    }
    if (wanted_.empty()) return;
    if (lookup_ == nullptr) lookup_ = look_up(wanted_.front().host);
    if (!lookup_->is_done) return;
    const std::string problem = std::exchange(lookup_, nullptr)->problem;
    const IslandSpec host = wanted_.front();
    wanted_.pop_front();
    if (!problem.empty()) throw runtime::UserError(problem);
    grow(host);
  } catch (const std::exception& error) {
    callbacks_.warn(runtime::say("the host file: ", error.what()));
  }
}

void Membership::grow(const IslandSpec& to) {
  if (const std::string problem = callbacks_.why_nobody_may(); !problem.empty()) throw runtime::UserError(problem);
  const RankNumbers there = hosts_.on(to.host, callbacks_.hosts_of_ranks());
  const auto stay = std::ranges::count_if(there, [this](std::uint32_t rank) { return !hosts_.is_drained(rank); });
  if (to.ranks > stay) join(to.host, to.ranks - static_cast<std::uint32_t>(stay));
  host_file_->accept(to);
}

void Membership::take(const RequestBox::Asked& asked) {
  try {
    if (const std::string problem = callbacks_.why_nobody_may(); !problem.empty()) return refuse(asked, problem);
    if (asked.request.verb == RunRequest::Verb::kDrain) return drain(asked);
    const std::string& host = asked.request.host;
    const RankNumbers ranks = join(host.empty() ? runtime::this_process().host : host, asked.request.ranks);
    box_->answer(asked.id, {.ranks = {ranks.begin(), ranks.end()}});
  } catch (const std::exception& error) {
    refuse(asked, error.what());
  }
}

void Membership::refuse(const RequestBox::Asked& asked, const std::string& problem) {
  box_->answer(asked.id, {.problem = problem});
}

void Membership::drain(const RequestBox::Asked& asked) {
  const std::string& host = asked.request.host;
  const auto reported = callbacks_.hosts_of_ranks();
  RankNumbers ranks = hosts_.on(host, reported);
  if (ranks.empty()) {
    std::string names;
    for (const std::string& name : hosts_.names(reported)) names += (names.empty() ? "" : ", ") + name;
    return refuse(asked, "host " + host + " has no rank of the run; expected one of: " + runtime::plain_line(names));
  }
  if (std::all_of(ranks.begin(), ranks.end(), [this](std::uint32_t rank) { return hosts_.is_drained(rank); })) {
    return refuse(asked, "host " + host + " is drained already");
  }
  for (const auto& [id, drain] : drains_) {
    if (drain.ranks == ranks) return refuse(asked, "host " + host + " is being drained already");
  }
  drains_[asked.id] = {host, ranks};
  callbacks_.control(line_of(asked.id, drains_[asked.id]));
}

boost::json::object Membership::line_of(const std::string& id, const Drain& drain) {
  return {{"control", "drain"}, {"id", id}, {"host", drain.host}, {"ranks", as_json(drain.ranks)}};
}

std::vector<boost::json::object> Membership::drains() const {
  std::vector<boost::json::object> lines;
  for (const auto& [host, ranks] : hosts_.drained()) {
    lines.push_back({{"control", "drain"}, {"host", host}, {"ranks", as_json(ranks)}});
  }
  for (const auto& [id, drain] : drains_) {
    if (!drain.is_agreed) lines.push_back(line_of(id, drain));
  }
  return lines;
}

bool Membership::take(const boost::json::object& report) {
  const boost::json::value* answer = report.if_contains("drain");
  if (answer == nullptr || !answer->is_object()) return false;
  const auto found = drains_.find(runtime::text_in(answer->get_object(), "id"));
  if (found == drains_.end() || found->second.is_agreed || box_ == nullptr) return true;
  if (const std::string problem = runtime::text_in(answer->get_object(), "problem"); !problem.empty()) {
    box_->answer(found->first, {.problem = problem});
    drains_.erase(found);
    return true;
  }
  found->second.is_agreed = true;
  hosts_.drain(found->second.ranks, found->second.host);
  rank_ended();
  return true;
}

// A host is empty when the last process of the run has ended on it.
void Membership::rank_ended() {
  if (box_ == nullptr) return;
  for (auto at = drains_.begin(); at != drains_.end();) {
    const auto& [id, drain] = *at;
    const auto& is_running = callbacks_.is_running;
    if (!drain.is_agreed || std::any_of(drain.ranks.begin(), drain.ranks.end(), is_running)) {
      ++at;
      continue;
    }
    box_->answer(id, {.ranks = {drain.ranks.begin(), drain.ranks.end()}});
    at = drains_.erase(at);
  }
}

RankNumbers Membership::join(const std::string& host, std::uint32_t count) {
  const auto reported = callbacks_.hosts_of_ranks();
  for (const auto& [id, drain] : drains_) {
    if (drain.host == host || hosts_.on(host, reported) == drain.ranks) {
      throw runtime::UserError("host " + host + " is being drained; ask again when it is empty");
    }
  }
  if (count + hosts_.numbers() > kMostRanks) {
    throw runtime::UserError(runtime::say("expected at most ", kMostRanks, " ranks in all"));
  }
  if (const std::string problem = callbacks_.why_not_joined(host); !problem.empty()) throw runtime::UserError(problem);
  const std::vector<HostRanks::Run> runs = hosts_.invite(host, count, reported);
  RankNumbers ranks;
  for (const HostRanks::Run& run : runs) {
    for (std::uint32_t rank = run.first; rank < run.first + run.ranks; ++rank) ranks.insert(rank);
  }
  callbacks_.control(
      {{"control", "invited"}, {"host", host}, {"ranks", as_json(ranks)}, {"numbers", hosts_.numbers()}});
  for (const HostRanks::Run& run : runs) callbacks_.start({.host = host, .ranks = run.ranks}, run.first);
  return ranks;
}

}  // namespace cadre::launch
