#include "trainer/data/batch_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "runtime/error.h"
#include "trainer/data/packing.h"
#include "trainer/random/philox.h"

namespace cadre::data {
namespace {

std::vector<std::uint32_t> shuffled(std::size_t n, random::PhiloxSequence random) {
  CADRE_CHECK(n <= std::numeric_limits<std::uint32_t>::max(), "n = ", n);
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
  return order;
}

// The rows of each sequence of the epoch, in order.
std::vector<std::vector<std::uint32_t>> sequences_of(std::span<const std::uint32_t> row_lengths, std::uint64_t epoch,
                                                     const PlanOptions& options) {
  std::vector<std::uint32_t> order;
  if (options.shuffle) {
    order = permutation(row_lengths.size(), options.seed, epoch);
  } else {
    order.resize(row_lengths.size());
    std::iota(order.begin(), order.end(), 0u);
  }
  if (!options.sample_packing) {
    std::vector<std::vector<std::uint32_t>> sequences(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) sequences[i] = {order[i]};
    return sequences;
  }
  auto packed = pack(order, row_lengths, options.sequence_len);
  if (!options.shuffle) return packed;
  // The window ends with sequences that are filled less, and long rows open theirs alone: the sequences are shuffled
  // too, so that where a sequence comes says nothing about what it holds.
  const auto places =
      shuffled(packed.size(), random::PhiloxSequence(options.seed, epoch, random::PhiloxStream::kSequenceOrder));
  std::vector<std::vector<std::uint32_t>> sequences(packed.size());
  for (std::size_t i = 0; i < packed.size(); ++i) sequences[i] = std::move(packed[places[i]]);
  return sequences;
}

}  // namespace

std::vector<std::uint32_t> permutation(std::size_t n, std::uint64_t seed, std::uint64_t epoch) {
  return shuffled(n, random::PhiloxSequence(seed, epoch, random::PhiloxStream::kRowOrder));
}

std::vector<Step> plan_epoch(std::span<const std::uint32_t> row_lengths, std::uint64_t epoch,
                             const PlanOptions& options) {
  CADRE_CHECK(options.micro_batch_size > 0 && options.global_batch_size > 0,
              "micro_batch_size = ", options.micro_batch_size, ", global_batch_size = ", options.global_batch_size);
  const auto sequences = sequences_of(row_lengths, epoch, options);
  const auto micro_size = static_cast<std::size_t>(options.micro_batch_size);
  const auto step_size = static_cast<std::size_t>(options.global_batch_size);

  std::vector<Step> steps;
  for (std::size_t step_begin = 0; step_begin < sequences.size(); step_begin += step_size) {
    const std::size_t step_end = std::min(sequences.size(), step_begin + step_size);
    Step& step = steps.emplace_back();
    for (std::size_t begin = step_begin; begin < step_end; begin += micro_size) {
      MicroBatch& batch = step.micro_batches.emplace_back();
      for (std::size_t i = begin; i < std::min(step_end, begin + micro_size); ++i)
        batch.rows.insert(batch.rows.end(), sequences[i].begin(), sequences[i].end());
    }
  }
  return steps;
}

}  // namespace cadre::data
