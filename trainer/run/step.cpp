#include "trainer/run/step.h"

#include <algorithm>

#include "comm/reduction_tree.h"
#include "runtime/error.h"

namespace cadre::run {

model::Batch batch_of(const data::Dataset& dataset, std::span<const std::uint32_t> rows) {
  model::Batch batch;
  for (const std::uint32_t row : rows) batch.append(dataset.ids_of(row), dataset.labels_of(row));
  return batch;
}

StepGradient compute_gradient(model::Decoder& decoder, const data::Dataset& dataset, const data::Step& step,
                              const StepOptions& options) {
  StepGradient result;
  std::vector<model::Batch> batches;
  for (const data::MicroBatch& micro_batch : step.micro_batches) {
    const model::Batch& batch = batches.emplace_back(batch_of(dataset, micro_batch.rows));
    result.tokens += batch.tokens();
    result.trained_tokens += static_cast<std::int64_t>(batch.targets.size());
  }
  CADRE_CHECK(result.trained_tokens > 0, "a step without a trained token");
  const double scale = 1.0 / static_cast<double>(result.trained_tokens);

  const at::Tensor& gradients = decoder.parameters().gradients();
  const auto* values = static_cast<const float*>(gradients.data_ptr());
  comm::TreeSum sum;
  double loss_sum = 0;
  for (std::size_t m = 0; m < batches.size(); ++m) {
    gradients.zero_();
    const model::Pass pass{
        .lora_dropout = options.lora_dropout,
        .key = {.seed = options.seed, .step = options.step, .micro_batch = static_cast<std::uint32_t>(m)},
        .checkpointing = options.checkpointing};
    const model::HeadLoss loss = decoder.loss(decoder.hidden(batches[m], pass), batches[m], scale);
    loss_sum += loss.loss_sum;
    if (loss.scaled_loss.requires_grad()) loss.scaled_loss.backward();
    sum.add(std::vector<float>(values, values + gradients.numel()));
  }
  result.sum = sum.finish();
  result.loss = loss_sum * scale;
  return result;
}

double evaluate(const model::Decoder& decoder, const data::Dataset& dataset, std::int64_t tokens_at_once) {
  at::NoGradGuard no_grad;
  double loss_sum = 0;
  std::size_t trained = 0;
  std::vector<std::uint32_t> rows;
  std::int64_t tokens = 0;
  const auto flush = [&] {
    const model::Batch batch = batch_of(dataset, rows);
    rows.clear();
    tokens = 0;
    if (batch.targets.empty()) return;
    loss_sum += decoder.loss(decoder.hidden(batch, {}), batch, 1.0).loss_sum;
    trained += batch.targets.size();
  };
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    const auto length = static_cast<std::int64_t>(dataset.length(row));
    if (!rows.empty() && tokens + length > tokens_at_once) flush();
    rows.push_back(static_cast<std::uint32_t>(row));
    tokens += length;
  }
  if (!rows.empty()) flush();
  return trained == 0 ? 0.0 : loss_sum / static_cast<double>(trained);
}

}  // namespace cadre::run
