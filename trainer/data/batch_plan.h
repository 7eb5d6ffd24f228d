// Which rows make which step: a pure function of (row lengths, seed, configuration). Placement on ranks comes later and
// never changes it (DESIGN: placement never changes the mathematics).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cadre::data {

struct PlanOptions {
  std::uint64_t seed = 0;
  bool shuffle = true;
  bool sample_packing = false;
  std::int64_t sequence_len = 0;
  std::int64_t micro_batch_size = 1;   // sequences
  std::int64_t global_batch_size = 1;  // sequences
};

// The rows that one micro-batch holds, in order; with packing a sequence is several rows, and the boundaries between
// sequences no longer matter: every row is attended to alone.
struct MicroBatch {
  std::vector<std::uint32_t> rows;
};

struct Step {
  std::vector<MicroBatch> micro_batches;
};

// The steps of one epoch, in order; every row exactly once. The last step may be smaller.
std::vector<Step> plan_epoch(std::span<const std::uint32_t> row_lengths, std::uint64_t epoch,
                             const PlanOptions& options);

// A permutation of 0…n−1 from (seed, epoch): Fisher-Yates over a counter-based generator; the same on every platform.
std::vector<std::uint32_t> permutation(std::size_t n, std::uint64_t seed, std::uint64_t epoch);

}  // namespace cadre::data
