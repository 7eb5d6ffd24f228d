// All steps of a run: epochs one after the other, a pure function of the rows' lengths and the configuration.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/workload.h"
#include "trainer/config/config.h"
#include "trainer/data/batch_plan.h"
#include "trainer/data/dataset.h"

namespace cadre::run {

class StepPlan {
 public:
  StepPlan(const data::Dataset& dataset, const config::Config& config);

  std::int64_t total_steps() const { return total_steps_; }
  // Of the first epoch.
  std::int64_t steps_per_epoch() const { return epoch_ends_.front(); }
  // Step `index`, counted from 0; neighbours are cheap, a new epoch is planned when it is reached.
  const data::Step& at(std::int64_t index);
  // Of all epochs that the run reaches.
  std::vector<runtime::EpochShape> epoch_shapes();

 private:
  std::vector<data::Step> plan(std::uint64_t epoch) const;
  std::int64_t steps_of(std::uint64_t epoch) const;
  // Plans epochs until step `index` lies in one.
  void reach(std::int64_t index);

  std::vector<std::uint32_t> lengths_;
  data::PlanOptions options_;
  std::vector<std::int64_t> epoch_ends_;  // steps up to and with each epoch
  std::int64_t total_steps_ = 0;
  std::uint64_t cached_epoch_ = 0;
  std::vector<data::Step> cached_;
};

}  // namespace cadre::run
