#include "trainer/run/rank_state.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/instruction_set.h"
#include "runtime/sha256.h"
#include "trainer/run/gradient_front.h"
#include "trainer/run/load_decoder.h"
#include "trainer/run/schedule_of.h"
#include "trainer/run/state_shards.h"

namespace cadre::run {

std::unique_ptr<RankState> load_rank_state(const config::Config& config, const std::string& chat_template_date,
                                           std::optional<data::Prepared> elsewhere) {
  Base base = open_base(config);
  data::Prepared prepared = elsewhere
                                ? std::move(*elsewhere)
                                : prepare_data(config, base, chat_template_date, static_cast<int>(config.threads));
  std::unique_ptr<model::Decoder> decoder = load_decoder(base, config);
  if (config.zero_stage >= 2) decoder->parameters().spare_gradients();
  StepPlan plan(prepared.train, config);
  OptimizerShard optimizer(config, decoder->parameters());
  const optimizer::ScheduleOptions schedule = schedule_of(config, plan.total_steps());
  auto evaluation = evaluation_units(prepared.validation, config.micro_batch_size * config.sequence_len);
  return std::make_unique<RankState>(RankState{config, std::move(base), std::move(prepared), std::move(plan),
                                               std::move(decoder), std::move(optimizer), schedule,
                                               std::move(evaluation)});
}

namespace {

// Of the first micro-batch, from the starting values: loss and gradient, to the bit.
std::uint64_t known_answer(RankState& state) {
  const data::Step& step = state.plan.at(0);
  const StepOptions options{.seed = static_cast<std::uint64_t>(state.config.seed),
                            .lora_dropout = state.config.lora_dropout,
                            .checkpointing = state.config.gradient_checkpointing};
  model::ParameterSpace& space = state.decoder->parameters();
  std::uint64_t answer = 0;
  GradientFront front(state.optimizer.chunks(), [&](std::uint64_t chunk) {
    const runtime::ChunkRange range = state.optimizer.chunks().range(chunk);
    const auto* const values = static_cast<const float*>(space.gradients().data_ptr());
    answer = runtime::digest_of(std::as_bytes(std::span(values + range.begin, range.size())), answer);
    state.release_gradient(chunk);
  });
  const Listening listening(space, front);
  const runtime::MicroBatchResult result =
      compute_micro_batch(*state.decoder, state.prepared.train, step.micro_batches.at(0), 0,
                          trained_tokens_of(state.prepared.train, step), options);
  front.finish();
  return runtime::digest_of(std::as_bytes(std::span(&result.loss_sum, 1)), answer);
}

}  // namespace

runtime::Workload workload_of(RankState& state) {
  runtime::Workload workload;
  workload.total_steps = static_cast<std::uint64_t>(state.plan.total_steps());
  workload.epochs = state.plan.epoch_shapes();
  workload.evaluation_units = static_cast<std::uint32_t>(state.evaluation.size());
  workload.elements = static_cast<std::uint64_t>(state.decoder->parameters().elements());
  workload.layout = layout_sha256(state.decoder->parameters());
  // Equal digests: equal rows in equal steps, equal base and starting values, equal chunks.
  workload.digest = runtime::sha256_hex(state.prepared.train.sha256 + state.prepared.validation.sha256 +
                                        state.base.folder.sha256() + workload.layout);
  workload.instructions = runtime::shell_words(runtime::pins_in_environment());
  workload.known_answer = known_answer(state);
  return workload;
}

std::string describe_trained(const RankState& state) {
  const std::int64_t trained = state.decoder->parameters().elements();
  std::int64_t total = trained;
  if (state.base.adapter) {
    for (const auto& [name, shape] : model_folder::expected_tensors(state.base.folder.spec())) {
      std::int64_t elements = 1;
      for (const std::int64_t size : shape) elements *= size;
      total += elements;
    }
  }
  const double share = 100.0 * static_cast<double>(trained) / static_cast<double>(total);
  return runtime::say("training ", trained, " of ", total, " parameters (", std::round(share * 100) / 100, " %)");
}

}  // namespace cadre::run
