// `cadre train`: sets the run up, starts its processes, shows their progress and writes down how it ended.
#include "launch/train_verb.h"

#include <unistd.h>

#include <iostream>
#include <random>

#include "launch/coordinator_boot.h"
#include "launch/early_signals.h"
#include "launch/environment.h"
#include "launch/exit_code.h"
#include "launch/hosts.h"
#include "launch/launcher.h"
#include "launch/machine.h"
#include "launch/mpi_boot.h"
#include "launch/own_mpirun.h"
#include "launch/rank_count.h"
#include "launch/roster.h"
#include "launch/verbs.h"
#include "runtime/compute_program.h"
#include "runtime/error.h"
#include "runtime/failpoints.h"
#include "runtime/instruction_set.h"
#include "runtime/json_fields.h"
#include "runtime/shared_folder.h"
#include "trainer/run/recorder.h"
#include "trainer/run/run_setup.h"

namespace cadre::launch {
namespace {

// What a rank needs beside its model: program, libraries and the activations of a small step.
constexpr std::uint64_t kRankBaseBytes = std::uint64_t{600} << 20;
constexpr std::size_t kTokenBytes = 32;

std::uint64_t model_bytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".safetensors") bytes += at->file_size(error);
  }
  return bytes;
}

std::uint32_t ranks_here(const config::Config& config) {
  const Machine machine = look_at_machine(std::filesystem::current_path());
  const std::uint64_t model = model_bytes(config.base_model);
  // Full fine-tuning: fp32 values, gradients and partial sums beside the stored weights.
  const std::uint64_t factor = config.adapter == "none" ? 5 : 2;
  return default_ranks(machine.cores, machine.memory_free_bytes,
                       {.threads = static_cast<std::uint64_t>(config.threads),
                        .memory_bytes = kRankBaseBytes + factor * model,
                        .most_micro_batches = static_cast<std::uint64_t>(std::max<std::int64_t>(
                            1, config.global_batch_size / std::max<std::int64_t>(1, config.micro_batch_size)))});
}

std::vector<IslandSpec> islands_of(Arguments& arguments) {
  const bool has_ranks = arguments.has("ranks"), has_hosts = arguments.has("hosts");
  if (has_ranks && has_hosts) {
    throw runtime::UserError("--ranks and --hosts: expected one of them; --hosts a:4,b:4 says how many ranks each has");
  }
  if (has_hosts) return parse_hosts(arguments.take("hosts", ""));
  const std::string ranks = arguments.take("ranks", "0");
  if (!has_ranks) return {};
  return {{.ranks = static_cast<std::uint32_t>(integer_of("ranks", ranks, 1, kMostRanks))}};
}

// Those of a user's own mpirun stand where it has put them.
void require_agreement(Arguments& arguments, std::uint32_t standing) {
  if (arguments.has("hosts")) {
    throw runtime::UserError("--hosts: expected none under mpirun, which has placed the ranks; give it to mpirun");
  }
  const std::string ranks = arguments.take("ranks", std::to_string(standing));
  if (integer_of("ranks", ranks, 1, kMostRanks) != standing) {
    throw runtime::UserError(
        runtime::say("--ranks: expected ", standing, ", as many as mpirun has started, or none; found ", ranks));
  }
}

// The ranks of this start: those that stand already, or islands to start.
struct Ranks {
  bool are_on_named_hosts() const { return !islands.empty() && !islands.front().host.empty(); }

  std::vector<IslandSpec> islands = {};
  std::uint32_t count = 0;
};

std::uint32_t count_of(const std::vector<IslandSpec>& islands) {
  std::uint32_t ranks = 0;
  for (const IslandSpec& island : islands) ranks += island.ranks;
  return ranks;
}

// The configuration for these ranks; gradient_accumulation_steps counts those of the run's first start.
config::Resolved load_configuration(Arguments& arguments, Ranks& ranks, std::int64_t& first_ranks) {
  const std::string& file = arguments.target("CONFIG.yaml");
  config::Resolved resolved = config::load(file, arguments.options);
  if (ranks.count == 0) {
    ranks.count = ranks_here(resolved.config);
    ranks.islands = {{.ranks = ranks.count}};
  }
  first_ranks = resolved.config.overwrite_output_dir
                    ? ranks.count
                    : run::ranks_of_first_start(resolved.config.output_dir, ranks.count);
  return config::load(file, arguments.options, first_ranks);
}

int end_run(run::RunSetup& setup, const LaunchResult& ended, bool quiet, run::Progress& progress) {
  const auto text = [&](const char* name) { return runtime::text_in(ended.result, name); };
  const std::string outcome = text("outcome"), reason = ended.reason.empty() ? text("reason") : ended.reason;
  runtime::reach(runtime::Failpoint::kEnd, 0);
  if (outcome == "succeeded") {
    run::RunResult result{.of = text("of"), .steps = ended.result.at("step").to_number<std::uint64_t>()};
    for (const auto& [name, hash] : ended.result.at("sha256").as_object()) {
      result.sha256[std::string(name)] = std::string(hash.as_string());
    }
    run::record_success(setup.folder, result);
    if (!quiet) progress.note("done: the result is in " + setup.folder.path().string());
    return kDone;
  }
  if (outcome == "stopped") {
    run::record_end(setup.folder, runtime::RunStatus::kStopped, reason);
    return kResumable;
  }
  run::record_end(setup.folder, runtime::RunStatus::kFailed, reason);
  if (const auto* mend = ended.result.if_contains("user_can_mend"); mend != nullptr && mend->as_bool()) {
    throw runtime::UserError(reason);
  }
  if (ended.exit_code == kUserMustMend) throw runtime::UserError(reason);
  throw runtime::RunError(reason.empty() ? "the run's processes ended without a word; see its logs/" : reason);
}

void show(const boost::json::object& line, run::RunSetup& setup, run::Progress& progress) {
  if (const auto* note = line.if_contains("note")) {
    progress.note(std::string(note->as_string()));
  } else if (const auto* warning = line.if_contains("warning")) {
    progress.warn(std::string(warning->as_string()));
  } else if (const auto* workload = line.if_contains("workload")) {
    run::record_workload(setup.folder, workload->at("max_steps").to_number<std::uint64_t>(),
                         workload->at("trained_parameters").to_number<std::uint64_t>());
  } else {
    run::show_news(line, progress);
  }
}

struct Flags {
  bool quiet = false, trace = false;
  std::uint32_t relay_above = Boot{}.relay_above;          // not for users: what has a relay is a matter of scale
  std::chrono::milliseconds restart = kFirstRestartDelay;  // likewise, for tests
  std::chrono::seconds silence{0};                         // of the configuration
};

int launch_run(run::RunSetup& setup, const Ranks& ranks, const StandingRanks& standing, Flags flags,
               run::Progress& progress) {
  const std::string program = runtime::command_program().string();
  const std::string token = standing.ranks > 0 ? standing.token : random_token();
  const auto boot = [&](std::uint32_t island, std::uint32_t first_rank,
                        const std::vector<runtime::Endpoint>& coordinator) {
    return Boot{.run_id = setup.folder.record().run_id,
                .token = token,
                .coordinator = coordinator,
                .island = island,
                .first_rank = first_rank,
                .configuration = setup.configuration,
                .chat_template_date = setup.chat_template_date,
                .prepared_key = setup.prepared_key,
                .trace = flags.trace,
                .relay_above = flags.relay_above};
  };
  const std::size_t hosts = std::max(ranks.islands.size(), standing.hosts.size());
  if (ranks.count > 1) progress.note(runtime::say(ranks.count, " ranks on ", hosts, hosts == 1 ? " host" : " hosts"));
  runtime::reach(runtime::Failpoint::kStart, 0);
  const runtime::InstructionPins pins = runtime::pins_in_environment();
  LaunchPlan plan{.islands = ranks.islands,
                  .other_hosts = standing.hosts,
                  .coordinator = {program, "coordinator"},
                  .rank = {program, "rank"},
                  .environment = {pins.begin(), pins.end()},
                  .logs = setup.folder.logs(),
                  .requests = setup.folder.path(),
                  .has_host_file = ranks.are_on_named_hosts(),
                  .limits = {.silence = flags.silence, .restart = flags.restart}};
  LaunchCallbacks callbacks;
  callbacks.coordinator_boot = [&](std::uint64_t term, const std::vector<runtime::Endpoint>& listening,
                                   std::uint32_t numbers) {
    return print_coordinator_boot({.boot = boot(0, 0, listening),
                                   .term = term,
                                   .ranks = ranks.count,
                                   .numbers = std::max(ranks.count, numbers),
                                   .ranks_return = standing.ranks == 0,
                                   .steps_per_epoch = setup.steps_per_epoch});
  };
  callbacks.rank_boot = boot;
  callbacks.hosts_of_ranks = [&] {
    std::map<std::uint32_t, std::string> hosts;
    const Roster roster = read_roster(setup.folder.path(), setup.folder.record().starts);
    for (const auto& [rank, entry] : roster.ranks()) {
      hosts[static_cast<std::uint32_t>(rank)] = entry.process.host;
    }
    return hosts;
  };
  callbacks.on_report = [&](const boost::json::object& line) { show(line, setup, progress); };
  Launcher launcher(std::move(plan), std::move(callbacks));
  if (standing.ranks > 0) standing.hand_out(boot(0, 0, launcher.listening()), setup.folder.logs());
  const LaunchResult ended = launcher.run();
  runtime::remove_folder_proofs(setup.folder.path());  // of ranks that came after the coordinator's end
  return end_run(setup, ended, flags.quiet, progress);
}

}  // namespace

std::string random_token() {
  std::random_device device;
  std::string token;
  while (token.size() < kTokenBytes) token += static_cast<char>(device());
  return token;
}

int train(Arguments arguments) {
  return is_started_by_mpirun() ? train_as_rank(std::move(arguments)) : lead_run(std::move(arguments), {});
}

int lead_run(Arguments arguments, const StandingRanks& standing) {
  require_possible_instructions();
  const bool dry_run = arguments.take_flag("dry_run");
  Flags flags{.quiet = arguments.take_flag("quiet"), .trace = arguments.take_flag("trace")};
  const std::string relay_above = arguments.take("relay_above", std::to_string(flags.relay_above));
  flags.relay_above = static_cast<std::uint32_t>(integer_of("relay_above", relay_above, 1, 1 << 20));
  const std::string restart = arguments.take("restart_ms", std::to_string(flags.restart.count()));
  flags.restart = std::chrono::milliseconds(integer_of("restart_ms", restart, 1, 1 << 20));
  std::vector<std::string> switches;  // `--sample_packing` alone means true
  for (const config::KeyDescription& key : config::describe_keys()) {
    if (key.default_value == "true" || key.default_value == "false") switches.push_back(key.name);
  }
  arguments.require_values(switches);
  if (standing.ranks > 0) require_agreement(arguments, standing.ranks);
  Ranks ranks{.islands = islands_of(arguments)};
  ranks.count = standing.ranks > 0 ? standing.ranks : count_of(ranks.islands);
  std::int64_t first_ranks = 1;
  const config::Resolved resolved = load_configuration(arguments, ranks, first_ranks);
  if (dry_run) {
    std::cout << config::describe(resolved);
    for (const std::string& note : resolved.notes) std::cout << "# " << note << '\n';
    return kDone;
  }
  flags.silence = std::chrono::seconds(resolved.config.heartbeat_limit);
  remember_early_signals();
  runtime::arm_failpoints("launcher");
  run::Progress progress(run::Progress::style_for_stderr(flags.quiet));
  const auto check = [] {
    if (const int number = early_signal(); number != 0) {
      throw runtime::Stopped(runtime::say("stopped by ", name_of_signal(number), " while the data was prepared"));
    }
  };
  run::RunSetup setup = run::set_up_run(resolved, first_ranks, progress, check);
  try {
    return launch_run(setup, ranks, standing, flags, progress);
  } catch (const std::exception& error) {
    if (setup.folder.record().status == runtime::RunStatus::kRunning) {
      run::record_end(setup.folder, runtime::RunStatus::kFailed, error.what());
    }
    throw;
  }
}

}  // namespace cadre::launch
