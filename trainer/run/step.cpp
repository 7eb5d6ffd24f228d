#include "trainer/run/step.h"

#include <ATen/core/grad_mode.h>

#include "runtime/error.h"

namespace cadre::run {

model::Batch batch_of(const data::Dataset& dataset, std::span<const std::uint32_t> rows) {
  model::Batch batch;
  for (const std::uint32_t row : rows) batch.append(dataset.ids_of(row), dataset.labels_of(row));
  return batch;
}

std::uint64_t trained_tokens_of(const data::Dataset& dataset, const data::Step& step) {
  std::uint64_t tokens = 0;
  for (const data::MicroBatch& micro_batch : step.micro_batches) {
    for (const std::uint32_t row : micro_batch.rows) {
      const auto labels = dataset.labels_of(row);
      for (std::size_t i = 1; i < labels.size(); ++i) tokens += labels[i] >= 0;
    }
  }
  return tokens;
}

runtime::MicroBatchResult compute_micro_batch(model::Decoder& decoder, const data::Dataset& dataset,
                                              const data::MicroBatch& micro_batch, std::uint32_t index,
                                              std::uint64_t trained_tokens, const StepOptions& options) {
  CADRE_CHECK(trained_tokens > 0, "a step without a trained token");
  decoder.parameters().clear_gradients();
  const model::Batch batch = batch_of(dataset, micro_batch.rows);
  const model::Pass pass{.lora_dropout = options.lora_dropout,
                         .key = {.seed = options.seed, .step = options.step, .micro_batch = index},
                         .checkpointing = options.checkpointing};
  const model::HeadLoss loss =
      decoder.loss(decoder.hidden(batch, pass), batch, 1.0 / static_cast<double>(trained_tokens));
  if (loss.scaled_loss.requires_grad()) loss.scaled_loss.backward();
  return {.index = index,
          .loss_sum = loss.loss_sum,
          .tokens = static_cast<std::uint64_t>(batch.tokens()),
          .trained_tokens = batch.targets.size(),
          .samples = micro_batch.rows};
}

std::vector<std::vector<std::uint32_t>> evaluation_units(const data::Dataset& dataset, std::int64_t tokens_at_once) {
  std::vector<std::vector<std::uint32_t>> units;
  std::int64_t tokens = 0;
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    const auto length = static_cast<std::int64_t>(dataset.length(row));
    if (units.empty() || tokens + length > tokens_at_once) {
      units.emplace_back();
      tokens = 0;
    }
    units.back().push_back(static_cast<std::uint32_t>(row));
    tokens += length;
  }
  return units;
}

runtime::UnitLoss evaluate_unit(const model::Decoder& decoder, const data::Dataset& dataset,
                                std::span<const std::uint32_t> rows, std::uint32_t unit) {
  at::NoGradGuard no_grad;
  const model::Batch batch = batch_of(dataset, rows);
  if (batch.targets.empty()) return {.unit = unit};
  return {.unit = unit,
          .loss_sum = decoder.loss(decoder.hidden(batch, {}), batch, 1.0).loss_sum,
          .trained_tokens = batch.targets.size()};
}

}  // namespace cadre::run
