// The optimizer over the flat space, chunk by chunk.
#pragma once

#include <span>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/model/parameter_space.h"
#include "trainer/optimizer/update.h"

namespace cadre::run {

class OptimizerState {
 public:
  OptimizerState(const config::Config& config, const model::ParameterSpace& space);

  // The global norm of a gradient over the space: squares summed per chunk, chunks added in order.
  static double norm_of(std::span<const float> gradient);

  // Applies update number `step` (from 1) with this gradient.
  void apply(const model::ParameterSpace& space, std::span<const float> gradient, double learning_rate,
             double gradient_scale, std::int64_t step);

  // Over the whole space; the second is empty for SGD.
  std::vector<float>& first_moment() { return first_; }
  std::vector<float>& second_moment() { return second_; }

 private:
  bool adamw_ = true;
  optimizer::AdamW adamw_options_;
  optimizer::Sgd sgd_options_;
  double weight_decay_ = 0;
  std::vector<float> first_, second_;
};

}  // namespace cadre::run
