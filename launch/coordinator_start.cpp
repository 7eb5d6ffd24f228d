// What a coordinator begins with: from its configuration, and from what those before it have left.
#include <boost/asio/post.hpp>
#include <cmath>

#include "launch/coordinator_shell.h"
#include "launch/hosts.h"
#include "runtime/authentication.h"
#include "runtime/error.h"
#include "runtime/run_folder.h"
#include "runtime/run_lock.h"
#include "runtime/sha256.h"

namespace cadre::launch {
namespace {

// The token is of one start of the run and of no other; this tells nobody what it is.
std::string name_of_launch(const std::string& token) {
  const runtime::Key key = runtime::hmac_sha256(token, "launch");
  return runtime::sha256_hex({reinterpret_cast<const char*>(key.data()), key.size()}).substr(0, 16);
}

// Steps between two events that happen `steps` apart, or `per_epoch` times an epoch; 0: never.
std::uint64_t every(std::int64_t steps, double per_epoch, std::uint64_t steps_per_epoch) {
  if (steps > 0) return static_cast<std::uint64_t>(steps);
  if (per_epoch <= 0) return 0;
  return static_cast<std::uint64_t>(
      std::max<long long>(1, std::llround(static_cast<double>(steps_per_epoch) / per_epoch)));
}

}  // namespace

// The newest valid checkpoint of this run; one that the configuration names is where the run first starts from.
runtime::CoordinatorOptions CoordinatorShell::find_start() {
  const config::Config& config = resolved_.config;
  runtime::CheckpointStore store(folder_ / "checkpoints");
  try {
    store.clean_up();
  } catch (const runtime::RunError& error) {
    if (boot_.term == 1) throw;  // better now than after the first steps
    say(error.what(), true);
  }
  runtime::CoordinatorOptions options{.run_id = boot_.boot.run_id,
                                      .term = boot_.term,
                                      .expected_ranks = boot_.ranks,
                                      .numbers = boot_.numbers,
                                      .logging_steps = static_cast<std::uint64_t>(config.logging_steps),
                                      .checkpoints = store.folder().string()};
  options.keep_state = true;
  options.policy.eval_every = every(config.eval_steps, config.evals_per_epoch, boot_.steps_per_epoch);
  options.policy.save_every = every(config.save_steps, config.saves_per_epoch, boot_.steps_per_epoch);
  options.policy.patience = static_cast<std::uint64_t>(config.early_stopping_patience);
  options.policy.max_grad_norm = config.max_grad_norm;
  options.policy.save_total_limit = static_cast<std::uint64_t>(config.save_total_limit);
  const std::int64_t copies = config.zero_stage == 0 ? kMostRanks : config.state_copies;
  options.policy.state_copies = static_cast<std::uint32_t>(copies);
  options.min_ranks = static_cast<std::size_t>(config.min_ranks);
  options.heartbeat_limit = std::chrono::seconds(config.heartbeat_limit);
  options.progress_limit = std::chrono::seconds(config.progress_limit);
  if (boot_.ranks_return) options.rejoin_wait = std::chrono::seconds(config.rejoin_wait);
  options.policy.in_rounds = config.zero_stage >= 2;
  // The sums of `fast` depend on who computes what: there a run is at least repeated exactly by as many ranks.
  options.policy.shares_by_speed = config.reduction == "exact" && !options.policy.in_rounds;
  options.policy.skips_nonfinite = config.on_nonfinite == "skip";
  std::vector<std::string> problems;
  options.start = find_checkpoint(store, problems);
  for (const std::string& problem : problems) say(problem, true);
  for (const runtime::CheckpointEntry& entry : store.list()) {
    if (entry.problem.empty()) options.published.insert(entry.step);
  }
  const runtime::TermHistory history = runtime::read_terms(folder_);
  for (const std::string& problem : history.problems) say(problem, true);
  options.last_view = history.view;
  options.last_generation = history.generation;
  options.incarnations = history.incarnations;
  options.launch = name_of_launch(boot_.boot.token);
  // Of this start of the run, so that the ranks are there; an earlier start's have ended with it.
  if (history.launch == options.launch) {
    options.awaited = history.members;
    options.before = history;
    options.end = history.end;
  }
  boot_.term = std::max(boot_.term, history.last_term + 1);
  options.term = boot_.term;
  // Steps after the checkpoint are committed once more: in a generation of their own.
  if (history.launch != options.launch && history.committed > options.start.manifest.step) ++options.last_generation;
  const runtime::RunHolder self = runtime::this_process();
  options.host = self.host;
  options.pid = self.pid;
  if (const auto state = runtime::look_at_run_folder(folder_); state.record) options.starts = state.record->starts;
  if (!options.start.folder.empty()) start_step_ = options.start.manifest.step;
  return options;
}

runtime::CoordinatorOptions::Start CoordinatorShell::find_checkpoint(const runtime::CheckpointStore& store,
                                                                     std::vector<std::string>& problems) const {
  runtime::CoordinatorOptions::Start start;
  const runtime::CheckpointStore::Search search = store.newest_valid();
  for (const runtime::CheckpointEntry& entry : search.skipped) {
    problems.push_back(entry.folder.string() + " is damaged and left aside: " + entry.problem);
  }
  if (search.found) start = {.folder = search.found->folder.string(), .manifest = search.found->manifest};
  if (const std::string& named = resolved_.config.resume_from_checkpoint; named != "auto" && named != "none") {
    runtime::Manifest other = runtime::read_manifest(named);
    if (start.folder.empty() || start.manifest.step < other.step) {
      start = {.folder = named, .manifest = std::move(other)};
    }
  }
  return start;
}

void CoordinatorShell::look_for_checkpoint() {
  publisher_->look([this](const runtime::CheckpointStore& store) {
    std::vector<std::string> problems;
    runtime::CoordinatorOptions::Start found;
    try {
      found = find_checkpoint(store, problems);
    } catch (const std::exception& error) {  // the one that the configuration names
      problems.emplace_back(error.what());
    }
    boost::asio::post(io_, [this, problems = std::move(problems), found = std::move(found)] {
      for (const std::string& problem : problems) say(problem, true);
      perform(coordinator_->on_checkpoint_found(found, std::chrono::steady_clock::now()));
    });
  });
}

}  // namespace cadre::launch
