#include "trainer/run/step_plan.h"

#include <algorithm>
#include <cmath>

#include "runtime/error.h"

namespace cadre::run {

StepPlan::StepPlan(const data::Dataset& dataset, const config::Config& config)
    : options_{.seed = static_cast<std::uint64_t>(config.seed),
               .shuffle = config.shuffle,
               .sample_packing = config.sample_packing,
               .sequence_len = config.sequence_len,
               .micro_batch_size = config.micro_batch_size,
               .global_batch_size = config.global_batch_size} {
  CADRE_CHECK(dataset.rows() > 0, "an empty dataset");
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    lengths_.push_back(static_cast<std::uint32_t>(dataset.length(row)));
  }
  cached_ = plan(0);
  epoch_ends_.push_back(static_cast<std::int64_t>(cached_.size()));
  total_steps_ = config.max_steps;
  if (config.max_steps > 0) return;
  // Packing may need a step more or less from epoch to epoch, so each one that counts is planned.
  const auto epochs = static_cast<std::uint64_t>(std::ceil(config.num_epochs));
  for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
    if (epoch > 0) epoch_ends_.push_back(epoch_ends_.back() + steps_of(epoch));
    const std::int64_t begin = epoch == 0 ? 0 : epoch_ends_[epoch - 1];
    const double share = std::min(1.0, config.num_epochs - static_cast<double>(epoch));
    // A hair less, so that 0.1 of 10 steps is not 2 of them for the rounding of 1.1 - 1.
    const double steps = std::ceil(share * static_cast<double>(epoch_ends_[epoch] - begin) * (1 - 1e-9));
    total_steps_ = begin + std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
  }
}

std::int64_t StepPlan::steps_of(std::uint64_t epoch) const {
  return options_.sample_packing ? static_cast<std::int64_t>(plan(epoch).size()) : epoch_ends_.front();
}

void StepPlan::reach(std::int64_t index) {
  while (epoch_ends_.back() <= index) epoch_ends_.push_back(epoch_ends_.back() + steps_of(epoch_ends_.size()));
}

std::vector<data::Step> StepPlan::plan(std::uint64_t epoch) const {
  return plan_epoch(lengths_, epoch, options_);
}

const data::Step& StepPlan::at(std::int64_t index) {
  CADRE_CHECK(index >= 0 && index < total_steps_, "step ", index, " of ", total_steps_);
  reach(index);
  const auto end = std::upper_bound(epoch_ends_.begin(), epoch_ends_.end(), index);
  const auto epoch = static_cast<std::uint64_t>(end - epoch_ends_.begin());
  if (epoch != cached_epoch_) {
    cached_ = plan(epoch);
    cached_epoch_ = epoch;
  }
  const std::int64_t begin = epoch == 0 ? 0 : epoch_ends_[epoch - 1];
  return cached_.at(static_cast<std::size_t>(index - begin));
}

std::vector<runtime::EpochShape> StepPlan::epoch_shapes() {
  std::vector<runtime::EpochShape> shapes;
  std::int64_t begin = 0;
  for (std::uint64_t epoch = 0; begin < total_steps_; ++epoch) {
    const data::Step& first = at(begin);
    const std::int64_t end = epoch_ends_[epoch];
    runtime::EpochShape shape{.steps = static_cast<std::uint64_t>(end - begin),
                              .micro_batches = static_cast<std::uint32_t>(first.micro_batches.size()),
                              .last_micro_batches = static_cast<std::uint32_t>(cached_.back().micro_batches.size())};
    shapes.push_back(shape);
    begin = end;
  }
  return shapes;
}

}  // namespace cadre::run
