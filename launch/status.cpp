#include "launch/status.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <map>
#include <string>
#include <string_view>

#include "runtime/checkpoint_store.h"
#include "runtime/error.h"
#include "runtime/json_lines.h"
#include "runtime/json_print.h"
#include "runtime/run_folder.h"

namespace cadre::launch {
namespace {

using boost::json::object;
using runtime::FolderState;
using runtime::RunStatus;

constexpr std::size_t kEvents = 10;
// A metrics line comes once in so many steps at the most, an evaluation's beside it.
constexpr std::size_t kRecentLines = 32;

FolderState look(const std::filesystem::path& run) {
  FolderState state = runtime::look_at_run_folder(run);
  if (!state.exists)
    throw runtime::UserError(runtime::say(run.string(), ": no such run; expected the output_dir of one"));
  if (!state.record) {
    throw runtime::UserError(runtime::say(run.string(), ": expected the output_dir of a run, found no run.json"));
  }
  return state;
}

std::uint64_t count_in(const object& line, boost::json::string_view name) {
  const boost::json::value* value = line.if_contains(name);
  boost::json::error_code error;
  const std::uint64_t count = value ? value->to_number<std::uint64_t>(error) : 0;
  return error ? 0 : count;
}

object last_of(const std::filesystem::path& file) {
  const auto lines = runtime::last_json_lines(file, 1);
  return lines.empty() ? object() : lines.front();
}

// rank -> micro-batches that it computed in the step of this ledger line.
std::map<std::uint64_t, std::uint64_t> shares(const object& ledger_line) {
  std::map<std::uint64_t, std::uint64_t> counts;
  const boost::json::value* list = ledger_line.if_contains("micro_batches");
  if (!list || !list->is_array()) return counts;
  for (const boost::json::value& item : list->get_array()) {
    if (item.is_object()) ++counts[count_in(item.get_object(), "rank")];
  }
  return counts;
}

std::string_view state_of_the_process(const FolderState& state) {
  if (state.holder) return "live";
  const RunStatus status = state.record->status;
  return status == RunStatus::kSucceeded || status == RunStatus::kStopped ? "drained" : "lost";
}

std::uint64_t last_step(const std::filesystem::path& run) {
  std::uint64_t step = 0;
  for (const char* file : {"ledger.jsonl", "metrics.jsonl"})
    step = std::max(step, count_in(last_of(run / file), "step"));
  return step;
}

void print_newest_number(const std::vector<object>& lines, const char* name, const char* words, std::ostream& out) {
  const auto found = std::find_if(lines.rbegin(), lines.rend(),
                                  [&](const object& line) { return line.contains(name) && line.at(name).is_number(); });
  if (found != lines.rend()) out << words << runtime::json_line(found->at(name));
}

void print_checkpoints(const std::filesystem::path& run, std::ostream& out) {
  const auto entries = runtime::CheckpointStore(run / "checkpoints").list();
  if (entries.empty()) {
    out << "  checkpoints  none\n";
    return;
  }
  const auto good =
      std::count_if(entries.begin(), entries.end(), [](const auto& entry) { return entry.problem.empty(); });
  out << "  checkpoints  " << good << ", the newest of step " << entries.front().step << "\n";
  for (const auto& entry : entries) {
    if (!entry.problem.empty()) out << "               step " << entry.step << " is damaged: " << entry.problem << "\n";
  }
}

}  // namespace

object status_of_run(const std::filesystem::path& run) {
  const FolderState state = look(run);
  const object ledger_line = last_of(run / "ledger.jsonl");
  boost::json::array events;
  for (object& event : runtime::last_json_lines(run / "journal.jsonl", kEvents)) events.push_back(std::move(event));

  // One process does everything so far: it is the coordinator and the one rank.
  const object process{{"host", state.record->host}, {"pid", state.record->pid}};
  const auto micro_batches = shares(ledger_line);
  object rank{{"rank", 0}};
  rank.insert(process.begin(), process.end());
  rank["state"] = state_of_the_process(state);
  rank["micro_batches"] = micro_batches.contains(0) ? micro_batches.at(0) : 0;

  return {{"status", state.status()},
          {"step", last_step(run)},
          {"max_steps", state.record->max_steps},
          {"view", count_in(ledger_line, "view")},
          {"coordinator", process},
          {"ranks", boost::json::array{rank}},
          {"events", std::move(events)}};
}

int status(const std::filesystem::path& run, bool json, std::ostream& out) {
  const object facts = status_of_run(run);
  if (json) {
    out << runtime::json_line(facts) << "\n";
    return 0;
  }
  const FolderState state = look(run);
  out << run.string() << ": " << state.status();
  if (!state.record->reason.empty()) out << " (" << state.record->reason << ")";
  out << ", step " << count_in(facts, "step");
  if (state.record->max_steps > 0) out << " of " << state.record->max_steps;
  const auto metrics = runtime::last_json_lines(run / "metrics.jsonl", kRecentLines);
  print_newest_number(metrics, "loss", ", loss ", out);
  print_newest_number(metrics, "eval_loss", ", validation loss ", out);
  out << "\n  started      " << state.record->started << (state.record->starts > 1 ? ", resumed " : "");
  if (state.record->starts > 1) out << state.record->starts - 1 << (state.record->starts == 2 ? " time" : " times");
  out << "\n  process      " << state.record->pid << " on " << state.record->host << ": " << state_of_the_process(state)
      << "\n";
  print_checkpoints(run, out);
  for (const boost::json::value& event : facts.at("events").as_array()) {
    out << "  event        " << runtime::json_line(event) << "\n";
  }
  if (state.status() == "interrupted") {
    out << "The process is gone without a word: start the same command again, and the run goes on from its newest "
           "checkpoint.\n";
  }
  return 0;
}

}  // namespace cadre::launch
