// What a run's records claim about its steps, proven from the term journals, which carry checksums: each step was
// committed once in its generation, each micro-batch is once in its step and each sample once in an epoch, and
// ledger.jsonl and journal.jsonl say the same as the journals do. Where ranks fell back, the last generation counts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cadre::runtime {

struct Claim {
  std::string what;     // "ledger.jsonl: 60 steps as the term journals have them"
  std::string problem;  // empty: it holds
};

struct ProofOptions {
  std::optional<std::uint64_t> rows_of_epoch = {};  // samples of one epoch; unknown: not looked at
  std::optional<std::uint64_t> final_step = {};     // of a run that has succeeded
  bool is_alive = false;                            // more may have been written meanwhile
};

std::vector<Claim> prove_records(const std::filesystem::path& run, const ProofOptions& options);

}  // namespace cadre::runtime
