// The mathematics of one optimizer step on one rank: a micro-batch's gradient, and loss without gradient.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/messages.h"
#include "trainer/data/batch_plan.h"
#include "trainer/data/dataset.h"
#include "trainer/model/decoder.h"

namespace cadre::run {

struct StepOptions {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;  // names the dropout masks
  double lora_dropout = 0;
  bool checkpointing = false;
};

model::Batch batch_of(const data::Dataset& dataset, std::span<const std::uint32_t> rows);

// Tokens that the step trains, over all its micro-batches.
std::uint64_t trained_tokens_of(const data::Dataset& dataset, const data::Step& step);

// Leaves in decoder.parameters().gradients() the gradient of micro-batch `index`'s part of the step's loss: its sum
// over trained tokens divided by those of the whole step, `trained_tokens` > 0 (not a mean of means).
runtime::MicroBatchResult compute_micro_batch(model::Decoder& decoder, const data::Dataset& dataset,
                                              const data::MicroBatch& micro_batch, std::uint32_t index,
                                              std::uint64_t trained_tokens, const StepOptions& options);

// The batches of rows that validation is computed in; `tokens_at_once` bounds memory, a longer row goes alone. The same
// on any number of ranks.
std::vector<std::vector<std::uint32_t>> evaluation_units(const data::Dataset& dataset, std::int64_t tokens_at_once);

// No gradient, no dropout.
runtime::UnitLoss evaluate_unit(const model::Decoder& decoder, const data::Dataset& dataset,
                                std::span<const std::uint32_t> rows, std::uint32_t unit);

}  // namespace cadre::run
