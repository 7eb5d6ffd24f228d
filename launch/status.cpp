#include "launch/status.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <map>
#include <string>
#include <vector>

#include "launch/roster.h"
#include "runtime/checkpoint_store.h"
#include "runtime/error.h"
#include "runtime/json_fields.h"
#include "runtime/json_lines.h"
#include "runtime/json_print.h"
#include "runtime/plain_text.h"
#include "runtime/run_folder.h"

namespace cadre::launch {
namespace {

using boost::json::object;
using runtime::FolderState;

constexpr std::size_t kEvents = 10;
// A metrics line comes once in so many steps at the most, an evaluation's beside it.
constexpr std::size_t kRecentLines = 32;
constexpr std::size_t kMostRows = 64;  // of a table for a person

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

Roster roster_of(const std::filesystem::path& run, const FolderState& state) {
  Roster roster = read_roster(run, state.record->starts);
  if (!state.holder) roster.nobody_is_there();
  return roster;
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

void pad(std::ostream& out, const std::string& text, std::size_t width, bool right = false) {
  const std::string space(width > text.size() ? width - text.size() : 0, ' ');
  out << (right ? space : "") << text << (right ? "" : space);
}

// Columns as wide as what is in them; the last one as it is.
void print_table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right, std::ostream& out) {
  std::vector<std::size_t> widths(right.size());
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      out << "  ";
      const bool last = column + 1 == row.size();
      pad(out, runtime::plain_line(row[column]), last && !right[column] ? 0 : widths[column], right[column]);
    }
    out << "\n";
  }
}

// Of thousands only those that are not as they should be.
void print_ranks(const object& facts, std::ostream& out) {
  const boost::json::array& ranks = facts.at("ranks").as_array();
  if (ranks.empty()) {
    out << "\n  no rank has joined yet\n";
    return;
  }
  std::vector<std::vector<std::string>> rows{{"rank", "host", "pid", "state", "micro-batches"}};
  std::size_t left_out = 0;
  for (const boost::json::value& rank : ranks) {
    const std::string state = runtime::text_in(rank.as_object(), "state");
    if (ranks.size() > kMostRows && (state == "live" || state == "drained" || rows.size() > kMostRows)) {
      ++left_out;
      continue;
    }
    const auto count = [&](const char* name) { return runtime::json_line(rank.at(name)); };
    rows.push_back(
        {count("rank"), runtime::text_in(rank.as_object(), "host"), count("pid"), state, count("micro_batches")});
  }
  out << "\n";
  print_table(rows, {true, false, true, false, true}, out);
  if (left_out > 0) out << "  and " << left_out << " more; --json lists all " << ranks.size() << "\n";
}

void print_events(const object& facts, std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  for (const boost::json::value& event : facts.at("events").as_array()) {
    rows.push_back({runtime::text_in(event.as_object(), "time"),
                    runtime::say("step ", count_in(event.as_object(), "step")),
                    runtime::text_in(event.as_object(), "event"), runtime::text_in(event.as_object(), "reason")});
  }
  if (rows.empty()) return;
  out << "\n";
  print_table(rows, {false, false, false, false}, out);
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

  const Roster roster = roster_of(run, state);
  const auto micro_batches = shares(ledger_line);
  boost::json::array ranks;
  for (const auto& [rank, entry] : roster.ranks()) {
    const auto share = micro_batches.find(rank);
    ranks.push_back({{"rank", rank},
                     {"host", entry.process.host},
                     {"pid", entry.process.pid},
                     {"state", name_of(entry.state)},
                     {"micro_batches", share != micro_batches.end() ? share->second : 0}});
  }
  const std::set<std::string> drained = roster.drained_hosts();
  // No number where there is none: 0 would be one to signal.
  object coordinator{{"host", nullptr}, {"pid", nullptr}};
  if (const auto& process = roster.coordinator()) coordinator = {{"host", process->host}, {"pid", process->pid}};

  return {{"status", state.status()},
          {"step", last_step(run)},
          {"max_steps", state.record->max_steps},
          {"view", roster.view()},
          {"coordinator", std::move(coordinator)},
          {"ranks", std::move(ranks)},
          {"drained_hosts", boost::json::array(drained.begin(), drained.end())},
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
  if (state.holder) out << "\n  launcher     " << state.holder->pid << " on " << state.holder->host;
  if (const object& coordinator = facts.at("coordinator").as_object(); coordinator.at("pid").is_number()) {
    out << "\n  coordinator  " << runtime::json_line(coordinator.at("pid")) << " on "
        << runtime::text_in(coordinator, "host");
    if (!state.holder) out << ", ended";
  }
  out << "\n";
  for (const boost::json::value& host : facts.at("drained_hosts").as_array()) {
    out << "  drained      " << runtime::plain_line(host.as_string()) << "; cadre join brings its ranks back\n";
  }
  print_checkpoints(run, out);
  print_ranks(facts, out);
  print_events(facts, out);
  if (state.status() == "interrupted") {
    out << "\nThe run's launcher is gone without a word: start the same command again, and the run goes on from its "
           "newest "
           "checkpoint.\n";
  }
  return 0;
}

}  // namespace cadre::launch
