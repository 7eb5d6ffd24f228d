// One optimizer step's gradient and a validation loss, on one rank: how tests put the pieces together.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "comm/reduction_tree.h"
#include "trainer/run/step.h"

namespace cadre::run {

struct StepGradient {
  std::vector<float> sum;  // d loss / d parameter over the flat space
  double loss = 0;         // mean over the trained tokens of the step
};

inline StepGradient compute_gradient(model::Decoder& decoder, const data::Dataset& dataset, const data::Step& step,
                                     const StepOptions& options) {
  const std::uint64_t trained = trained_tokens_of(dataset, step);
  const at::Tensor& gradients = decoder.parameters().gradients();
  comm::TreeSum sum;
  double loss_sum = 0;
  for (std::uint32_t m = 0; m < step.micro_batches.size(); ++m) {
    loss_sum += compute_micro_batch(decoder, dataset, step.micro_batches[m], m, trained, options).loss_sum;
    sum.add({static_cast<const float*>(gradients.data_ptr()), static_cast<std::size_t>(gradients.numel())});
  }
  return {sum.finish(), loss_sum / static_cast<double>(trained)};
}

inline double evaluate(const model::Decoder& decoder, const data::Dataset& dataset, std::int64_t tokens_at_once) {
  double loss_sum = 0;
  std::uint64_t trained = 0;
  std::uint32_t index = 0;
  for (const auto& unit : evaluation_units(dataset, tokens_at_once)) {
    const runtime::UnitLoss loss = evaluate_unit(decoder, dataset, unit, index++);
    loss_sum += loss.loss_sum;
    trained += loss.trained_tokens;
  }
  return trained == 0 ? 0.0 : loss_sum / static_cast<double>(trained);
}

}  // namespace cadre::run
