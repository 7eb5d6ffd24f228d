// All that one rank holds of a run: model, data, the plan of steps, its part of the optimizer state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/workload.h"
#include "trainer/config/config.h"
#include "trainer/data/dataset.h"
#include "trainer/optimizer/schedule.h"
#include "trainer/run/optimizer_shard.h"
#include "trainer/run/preparation.h"
#include "trainer/run/step.h"
#include "trainer/run/step_plan.h"

namespace cadre::run {

struct RankState {
  const config::Config& config;
  Base base;
  data::Prepared prepared;
  StepPlan plan;
  std::unique_ptr<model::Decoder> decoder;
  OptimizerShard optimizer;
  optimizer::ScheduleOptions schedule;
  std::vector<std::vector<std::uint32_t>> evaluation;  // units of validation rows

  // Of no more use before the next backward pass; zero_stage 2 then needs no memory for it.
  void release_gradient(std::uint64_t chunk) {
    const runtime::ChunkRange range = optimizer.chunks().range(chunk);
    decoder->parameters().release_gradients(range.begin, range.end);
  }

  const data::Dataset& held_rows() const {
    return prepared.validation.rows() > 0 ? prepared.validation : prepared.train;
  }
};

// Loads model and data. `elsewhere`: the prepared data, where this host cannot read it; else it comes from its cache,
// which the launcher has filled. `config` outlives the result. UserError for whatever is wrong with either.
std::unique_ptr<RankState> load_rank_state(const config::Config& config, const std::string& chat_template_date,
                                           std::optional<data::Prepared> elsewhere = std::nullopt);

// What there is to do, as this rank derives it, and how it computes: one micro-batch, before the first update.
runtime::Workload workload_of(RankState& state);

// "training 1,024 of 260,032 parameters (0.39 %)", for a person.
std::string describe_trained(const RankState& state);

}  // namespace cadre::run
