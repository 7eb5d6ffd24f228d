// The mathematics of one optimizer step: gradient of the global batch, and loss without gradient.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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

struct StepGradient {
  std::vector<float> sum;  // d loss / d parameter over the flat space
  double loss = 0;         // mean over the trained tokens of the global batch
  std::int64_t tokens = 0, trained_tokens = 0;
};

model::Batch batch_of(const data::Dataset& dataset, std::span<const std::uint32_t> rows);

// The gradient of Σ loss over the trained tokens of all micro-batches, divided by their number (not a mean of means),
// micro-batches added in the fixed tree. `step` has at least one trained token.
StepGradient compute_gradient(model::Decoder& decoder, const data::Dataset& dataset, const data::Step& step,
                              const StepOptions& options);

// Mean loss a trained token over all rows; no gradient, no dropout. `tokens_at_once` bounds memory; a longer
// row goes alone.
double evaluate(const model::Decoder& decoder, const data::Dataset& dataset, std::int64_t tokens_at_once);

}  // namespace cadre::run
