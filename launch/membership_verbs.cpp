// `cadre drain` and `cadre join`: a live run gets smaller or larger.
#include <unistd.h>

#include <iostream>
#include <thread>

#include "launch/exit_code.h"
#include "launch/hosts.h"
#include "launch/listener.h"
#include "launch/roster.h"
#include "launch/run_requests.h"
#include "launch/verbs.h"
#include "runtime/error.h"
#include "runtime/plain_text.h"
#include "runtime/rank_names.h"

namespace cadre::launch {
namespace {

constexpr std::chrono::milliseconds kLook{200};

// The folder, and the second word if there may be one.
std::pair<std::string, std::string> targets_of(const Arguments& arguments, const char* usage, bool needs_host) {
  const std::size_t words = arguments.targets.size();
  if (words < (needs_host ? 2 : 1) || words > 2) throw runtime::UserError(std::string("expected ") + usage);
  return {arguments.targets[0], words == 2 ? arguments.targets[1] : ""};
}

void require_host_name(const std::string& host) {
  if (!is_host_name(host)) {
    throw runtime::UserError("expected a host's name, found '" + runtime::plain_line(host) + "'");
  }
}

RunAnswer ask(const std::string& run, const RunRequest& request) {
  const auto is_alive = [&] { return runtime::look_at_run_folder(run).holder.has_value(); };
  std::optional<RunAnswer> answer = ask_launcher(run, request, is_alive);
  if (!answer) {
    throw runtime::RunError(run + ": the run ended before this was done; it is " +
                            runtime::look_at_run_folder(run).status());
  }
  if (!answer->problem.empty()) throw runtime::UserError(run + ": " + runtime::plain_line(answer->problem));
  return std::move(*answer);
}

// Until all of `ranks` are members of a view. UserError or RunError: one does not come.
std::uint64_t wait_for(const std::string& run, const std::vector<std::uint32_t>& ranks) {
  while (true) {
    const runtime::FolderState state = runtime::look_at_run_folder(run);
    const Roster roster = read_roster(run, state.record ? state.record->starts : 0);
    std::size_t live = 0;
    for (const std::uint32_t rank : ranks) {
      const auto found = roster.ranks().find(rank);
      if (found == roster.ranks().end()) continue;
      if (found->second.state == RankState::kLeftOut) {
        throw runtime::RunError(run + ": " + runtime::plain_line(found->second.left_out));
      }
      live += found->second.state == RankState::kLive;
    }
    if (live == ranks.size()) return roster.view();
    if (!state.holder)
      throw runtime::RunError(run + ": the run ended before they had come in; it is " + state.status());
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace

int drain(Arguments arguments) {
  arguments.require_known({});
  const auto [run, host] = targets_of(arguments, "cadre drain RUN HOST", true);
  require_host_name(host);
  live_run(run);
  const RunAnswer answer = ask(run, {.verb = RunRequest::Verb::kDrain, .host = host});
  std::cout << "host " << host << " is drained: " << runtime::names_of(answer.ranks) << " left; cadre join " << run
            << ' ' << host << " brings " << (answer.ranks.size() == 1 ? "it" : "them") << " back\n";
  return kDone;
}

int join(Arguments arguments) {
  arguments.require_known({"ranks"});
  arguments.require_values();
  const auto [run, where] = targets_of(arguments, "cadre join RUN [HOST[:RANKS]] [--ranks N]", false);
  RunRequest request{.verb = RunRequest::Verb::kJoin, .host = where};
  std::string count = arguments.get("ranks");
  if (const std::size_t colon = where.find(':'); colon != where.npos) {
    if (!count.empty()) throw runtime::UserError("--ranks: expected none beside " + runtime::plain_line(where));
    request.host = where.substr(0, colon);
    count = where.substr(colon + 1);
    if (count.empty()) throw runtime::UserError("expected HOST:RANKS, found '" + runtime::plain_line(where) + "'");
  }
  if (!count.empty()) request.ranks = static_cast<std::uint32_t>(integer_of("ranks", count, 1, kMostRanks));
  if (!where.empty()) require_host_name(request.host);
  const runtime::FolderState state = live_run(run);
  // The launcher, which must not wait for a name server, looks the name up again.
  if (!where.empty()) is_this_machine(request.host);
  char here[256] = {};
  gethostname(here, sizeof here - 1);
  if (where.empty() && state.holder->host != here) {
    request.host = here;
    require_host_name(request.host);
  }
  const RunAnswer answer = ask(run, request);
  std::cout << runtime::names_of(answer.ranks) << (answer.ranks.size() == 1 ? " loads" : " load") << std::endl;
  const std::uint64_t view = wait_for(run, answer.ranks);
  std::cout << runtime::names_of(answer.ranks) << (answer.ranks.size() == 1 ? " has" : " have")
            << " come in, with view " << view << '\n';
  return kDone;
}

}  // namespace cadre::launch
