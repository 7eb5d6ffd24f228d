// The path that all hosts share: journals as bytes, checkpoints, what is being written of them, and the records that
// `cadre verify` is given.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/term_journal.h"
#include "tests/unit/runtime/simulation/simulated_clock.h"
#include "tests/unit/runtime/simulation/toy_training.h"

namespace cadre::simulation {

struct StateShard {
  std::map<std::uint64_t, ChunkState> chunks = {};
  std::string sha256 = {};
};

struct SavedCheckpoint {
  runtime::Manifest manifest = {};
  std::map<std::uint64_t, ChunkState> chunks = {};
};

class SimulatedDisk {
 public:
  // ---- the term's journal
  void append(std::uint64_t term, const boost::json::object& entry, runtime::Durability durability);
  // The process dies while it writes `entry`: a part of the line may be there. True: all of it is.
  bool tear(std::uint64_t term, const boost::json::object& entry, Chance& chance);
  // The machine dies: what was not forced to the disk may be cut at any byte.
  void lose_unforced(std::uint64_t term, Chance& chance);
  // What read_terms() has of them.
  runtime::TermHistory history() const;

  // ---- checkpoints
  // Empty, or why it is not there.
  std::string publish(const runtime::Manifest& manifest, const std::vector<runtime::Shard>& shards,
                      std::uint64_t chunks);
  using Staging = std::pair<std::uint64_t, runtime::Stamp>;           // step, and the order's
  std::map<Staging, std::map<std::string, StateShard>> staging = {};  // by name
  std::map<std::uint64_t, SavedCheckpoint> checkpoints = {};          // by step

  // ---- records
  void record(const runtime::Committed& commit);
  void forget_after(std::uint64_t step);
  void add_event(std::uint64_t term, std::string line);  // of journal.jsonl; after append()
  std::map<std::uint64_t, std::string> ledger = {};      // by step

  // Journals and records as files.
  void write_into(const std::filesystem::path& folder) const;

 private:
  struct Journal {
    std::string bytes = {};
    std::size_t forced = 0;
    std::vector<std::pair<std::size_t, std::string>> events = {};  // and the journal's size then
  };
  std::map<std::uint64_t, Journal> journals_;  // by term
};

}  // namespace cadre::simulation
