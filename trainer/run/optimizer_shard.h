// The optimizer state of the chunks that this rank holds, as owner or backup.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "runtime/chunks.h"
#include "trainer/config/config.h"
#include "trainer/model/parameter_space.h"
#include "trainer/optimizer/update.h"

namespace cadre::run {

struct ChunkState {
  std::vector<float> first_moment;   // momentum of SGD
  std::vector<float> second_moment;  // empty for SGD
};

// One update for every parameter of the space: what differs from step to step.
struct UpdateStep {
  double learning_rate = 0, gradient_scale = 1;
  std::int64_t number = 1;  // counted from 1
};

class OptimizerShard {
 public:
  // `space` outlives it; its values are what is updated.
  OptimizerShard(const config::Config& config, const model::ParameterSpace& space);

  const runtime::ChunkSpace& chunks() const { return chunks_; }
  // What is held from now on, with zero moments; what was held before is forgotten.
  void hold(const std::vector<std::uint64_t>& chunks);
  // Holds these too; zero moments where they were not held.
  void hold_also(const std::vector<std::uint64_t>& chunks);
  // Forgets all others.
  void keep_only(const std::vector<std::uint64_t>& chunks);
  std::map<std::uint64_t, ChunkState>& states() { return states_; }

  // Updates the values and moments of a held chunk in place.
  void apply(std::uint64_t chunk, std::span<const float> gradient, const UpdateStep& update);

  // Of (chunk, gradient, values, moments): equal on all holders before the update.
  std::uint64_t digest(std::uint64_t chunk, std::span<const float> gradient) const;

  std::span<float> values() const;  // of the whole space
  std::span<float> values_of(std::uint64_t chunk) const;

 private:
  bool adamw_;
  optimizer::AdamW adamw_options_;
  optimizer::Sgd sgd_options_;
  double weight_decay_;
  const model::ParameterSpace& space_;
  runtime::ChunkSpace chunks_;
  std::map<std::uint64_t, ChunkState> states_;
};

}  // namespace cadre::run
