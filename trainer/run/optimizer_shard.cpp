#include "trainer/run/optimizer_shard.h"

#include <algorithm>

#include "runtime/digest.h"
#include "runtime/error.h"

namespace cadre::run {

OptimizerShard::OptimizerShard(const config::Config& config, const model::ParameterSpace& space)
    : adamw_(config.optimizer != "sgd"),
      adamw_options_{config.adam_beta1, config.adam_beta2, config.adam_epsilon},
      sgd_options_{config.sgd_momentum},
      weight_decay_(config.weight_decay),
      space_(space),
      chunks_{static_cast<std::uint64_t>(space.elements())} {}

void OptimizerShard::hold(const std::vector<std::uint64_t>& chunks) {
  states_.clear();
  hold_also(chunks);
}

void OptimizerShard::hold_also(const std::vector<std::uint64_t>& chunks) {
  for (const std::uint64_t chunk : chunks) {
    if (states_.contains(chunk)) continue;
    const std::size_t size = chunks_.range(chunk).size();
    states_[chunk] = {std::vector<float>(size), std::vector<float>(adamw_ ? size : 0)};
  }
}

void OptimizerShard::keep_only(const std::vector<std::uint64_t>& chunks) {
  std::erase_if(states_,
                [&](const auto& held) { return std::find(chunks.begin(), chunks.end(), held.first) == chunks.end(); });
}

std::span<float> OptimizerShard::values() const {
  return {static_cast<float*>(space_.values().data_ptr()), static_cast<std::size_t>(chunks_.elements)};
}

std::span<float> OptimizerShard::values_of(std::uint64_t chunk) const {
  const runtime::ChunkRange range = chunks_.range(chunk);
  return values().subspan(range.begin, range.size());
}

void OptimizerShard::apply(std::uint64_t chunk, std::span<const float> gradient, const UpdateStep& update) {
  ChunkState& state = states_.at(chunk);
  const runtime::ChunkRange range = chunks_.range(chunk);
  CADRE_CHECK(gradient.size() == range.size(), gradient.size(), " of ", range.size(), " elements");
  const std::span<float> values = values_of(chunk);
  const auto& parameters = space_.parameters();
  auto parameter = std::upper_bound(
      parameters.begin(), parameters.end(), range.begin,
      [](std::uint64_t at, const model::Parameter& p) { return at < static_cast<std::uint64_t>(p.offset); });
  --parameter;
  // The runs of the chunk that lie in one parameter: rate and decay are those of the parameter.
  for (std::uint64_t begin = range.begin; begin < range.end; ++parameter) {
    const std::uint64_t end =
        std::min(range.end, static_cast<std::uint64_t>(parameter->offset + parameter->elements()));
    const optimizer::Rate rate{.learning_rate = update.learning_rate * parameter->lr_scale,
                               .weight_decay = parameter->decays ? weight_decay_ : 0.0,
                               .gradient_scale = update.gradient_scale,
                               .step = update.number};
    const std::size_t at = begin - range.begin, count = end - begin;
    const std::span<float> first = std::span(state.first_moment).subspan(at, count);
    if (adamw_) {
      optimizer::update(adamw_options_, rate, gradient.subspan(at, count), values.subspan(at, count), first,
                        std::span(state.second_moment).subspan(at, count));
    } else {
      optimizer::update(sgd_options_, rate, gradient.subspan(at, count), values.subspan(at, count), first);
    }
    begin = end;
  }
}

std::uint64_t OptimizerShard::digest(std::uint64_t chunk, std::span<const float> gradient) const {
  const ChunkState& state = states_.at(chunk);
  std::uint64_t digest = runtime::digest_of(std::as_bytes(gradient), chunk);
  digest = runtime::digest_of(std::as_bytes(std::span<const float>(values_of(chunk))), digest);
  digest = runtime::digest_of(std::as_bytes(std::span<const float>(state.first_moment)), digest);
  return runtime::digest_of(std::as_bytes(std::span<const float>(state.second_moment)), digest);
}

}  // namespace cadre::run
