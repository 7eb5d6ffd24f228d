#include "trainer/run/optimizer_state.h"

#include <algorithm>
#include <cmath>

#include "runtime/chunks.h"

namespace cadre::run {

OptimizerState::OptimizerState(const config::Config& config, const model::ParameterSpace& space)
    : adamw_(config.optimizer != "sgd"),
      adamw_options_{config.adam_beta1, config.adam_beta2, config.adam_epsilon},
      sgd_options_{config.sgd_momentum},
      weight_decay_(config.weight_decay),
      first_(static_cast<std::size_t>(space.elements())),
      second_(adamw_ ? static_cast<std::size_t>(space.elements()) : 0) {}

double OptimizerState::norm_of(std::span<const float> gradient) {
  const runtime::ChunkSpace chunks{gradient.size()};
  double squares = 0;
  for (std::uint64_t c = 0; c < chunks.count(); ++c) {
    const runtime::ChunkRange range = chunks.range(c);
    squares += optimizer::sum_of_squares(gradient.subspan(range.begin, range.size()));
  }
  return std::sqrt(squares);
}

void OptimizerState::apply(const model::ParameterSpace& space, std::span<const float> gradient, double learning_rate,
                           double gradient_scale, std::int64_t step) {
  auto* values = static_cast<float*>(space.values().data_ptr());
  const runtime::ChunkSpace chunks{gradient.size()};
  auto parameter = space.parameters().begin();
  for (std::uint64_t c = 0; c < chunks.count(); ++c) {
    const runtime::ChunkRange range = chunks.range(c);
    // The runs of the chunk that lie in one parameter: rate and decay are those of the parameter.
    for (std::uint64_t begin = range.begin; begin < range.end;) {
      while (static_cast<std::uint64_t>(parameter->offset + parameter->elements()) <= begin) ++parameter;
      const std::uint64_t end =
          std::min(range.end, static_cast<std::uint64_t>(parameter->offset + parameter->elements()));
      const optimizer::Rate rate{.learning_rate = learning_rate * parameter->lr_scale,
                                 .weight_decay = parameter->decays ? weight_decay_ : 0.0,
                                 .gradient_scale = gradient_scale,
                                 .step = step};
      const std::size_t count = end - begin;
      const std::span<float> first(first_.data() + begin, count), target(values + begin, count);
      if (adamw_) {
        optimizer::update(adamw_options_, rate, gradient.subspan(begin, count), target, first,
                          std::span<float>(second_.data() + begin, count));
      } else {
        optimizer::update(sgd_options_, rate, gradient.subspan(begin, count), target, first);
      }
      begin = end;
    }
  }
}

}  // namespace cadre::run
