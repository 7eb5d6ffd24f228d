#include "tests/unit/runtime/simulation/simulated_disk.h"

#include <boost/json/array.hpp>
#include <fstream>

#include "runtime/json_lines.h"
#include "runtime/json_print.h"

namespace cadre::simulation {

void SimulatedDisk::append(std::uint64_t term, const boost::json::object& entry, runtime::Durability durability) {
  Journal& journal = journals_[term];
  journal.bytes += runtime::print_journal_line(entry) + "\n";
  if (durability == runtime::Durability::kDisk) journal.forced = journal.bytes.size();
}

bool SimulatedDisk::tear(std::uint64_t term, const boost::json::object& entry, Chance& chance) {
  const std::string line = runtime::print_journal_line(entry) + "\n";
  const std::size_t written = chance.one_in(4) ? line.size() : chance.below(line.size());
  journals_[term].bytes += line.substr(0, written);
  return written == line.size();
}

void SimulatedDisk::lose_unforced(std::uint64_t term, Chance& chance) {
  Journal& journal = journals_[term];
  const std::size_t unforced = journal.bytes.size() - journal.forced;
  journal.bytes.resize(journal.forced + chance.below(unforced + 1));
  std::erase_if(journal.events, [&](const auto& event) { return event.first > journal.bytes.size(); });
}

void SimulatedDisk::add_event(std::uint64_t term, std::string line) {
  journals_[term].events.emplace_back(journals_[term].bytes.size(), std::move(line));
}

runtime::TermHistory SimulatedDisk::history() const {
  runtime::TermHistory history;
  for (const auto& [term, journal] : journals_) {
    history.last_term = term;
    std::string_view rest = journal.bytes;
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      const auto entry = runtime::parse_journal_line(rest.substr(0, end));
      if (!entry) break;
      history.take(*entry);
      rest.remove_prefix(end + 1);
    }
  }
  return history;
}

std::string SimulatedDisk::publish(const runtime::Manifest& manifest, const std::vector<runtime::Shard>& shards,
                                   std::uint64_t chunks) {
  SavedCheckpoint checkpoint{.manifest = manifest};
  const Staging folder{manifest.step, {.generation = manifest.generation, .view = manifest.view}};
  const auto& staged = staging[folder];
  for (const runtime::Shard& shard : shards) {
    const auto found = staged.find(shard.file);
    if (found == staged.end()) return shard.file + " is not there";
    if (found->second.sha256 != shard.sha256) return shard.file + " has another hash";
    checkpoint.chunks.insert(found->second.chunks.begin(), found->second.chunks.end());
  }
  if (checkpoint.chunks.size() != chunks) return "a chunk is missing";
  staging.erase(folder);
  checkpoints.insert_or_assign(manifest.step, std::move(checkpoint));
  return {};
}

void SimulatedDisk::record(const runtime::Committed& commit) {
  boost::json::array micro_batches;
  for (const runtime::LedgerEntry& one : commit.micro_batches) {
    micro_batches.push_back(boost::json::object{
        {"micro_batch", one.micro_batch},
        {"rank", one.rank},
        {"view", one.view},
        {"samples", boost::json::array(one.samples.begin(), one.samples.end())},
    });
  }
  ledger[commit.step] = runtime::json_line(boost::json::object{{"step", commit.step},
                                                               {"generation", commit.stamp.generation},
                                                               {"view", commit.stamp.view},
                                                               {"micro_batches", std::move(micro_batches)}});
}

void SimulatedDisk::forget_after(std::uint64_t step) {
  ledger.erase(ledger.upper_bound(step), ledger.end());
}

void SimulatedDisk::write_into(const std::filesystem::path& folder) const {
  std::ofstream lines(folder / "journal.jsonl", std::ios::binary);
  for (const auto& [term, journal] : journals_) {
    for (const auto& [size, event] : journal.events) lines << event << "\n";
    std::ofstream(folder / ("journal.term-" + std::to_string(term) + ".jsonl"), std::ios::binary) << journal.bytes;
  }
  std::ofstream steps(folder / "ledger.jsonl", std::ios::binary);
  for (const auto& [step, line] : ledger) steps << line << "\n";
}

}  // namespace cadre::simulation
