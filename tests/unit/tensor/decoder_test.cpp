// The decoder against itself: what must hold whatever the weights are. Numbers against transformers are tests/parity's.
#include "trainer/model/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include "tests/unit/tensor/whole_step.h"
#include "trainer/adapter/initialise.h"
#include "trainer/model/stored_tensor.h"
#include "trainer/run/gradient_front.h"

namespace cadre::model {
namespace {

model_folder::ModelSpec small_spec() {
  model_folder::ModelSpec spec;
  spec.vocab_size = 61;
  spec.hidden_size = 32;
  spec.intermediate_size = 48;
  spec.num_attention_heads = 4;
  spec.num_key_value_heads = 2;
  spec.head_dim = 8;
  spec.tie_word_embeddings = true;
  spec.attention_scale = 0.35;
  model_folder::RopeSpec rope;
  rope.rotary_dim = 8;
  spec.ropes = {rope};
  spec.layers.assign(3, {});
  return spec;
}

Trained lora(const model_folder::ModelSpec& spec, bool dora = false) {
  Trained trained;
  trained.method = Trained::Method::kAdapter;
  trained.use_dora = dora;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    trained.targets.push_back({prefix + "self_attn.q_proj", 32, 32, 4, 2.0});
    trained.targets.push_back({prefix + "self_attn.v_proj", 32, 16, 4, 2.0});
    trained.targets.push_back({prefix + "mlp.down_proj", 48, 32, 4, 2.0});
  }
  return trained;
}

std::unique_ptr<Decoder> make(const Trained& trained) {
  const model_folder::ModelSpec spec = small_spec();
  auto decoder = std::make_unique<Decoder>(spec, random_source(spec, 1), at::kFloat, trained);
  for (std::size_t i = 0; i < decoder->parameters().parameters().size(); ++i) {
    const Parameter& parameter = decoder->parameters().parameters()[i];
    if (parameter.name.ends_with("magnitude_vector")) continue;
    adapter::fill_normal(decoder->parameters().value_of(parameter), 0.1, 2, i);
  }
  return decoder;
}

data::Dataset rows() {
  data::Dataset dataset;
  for (std::int32_t row = 0; row < 6; ++row) {
    for (std::int32_t i = 0; i < 5 + 3 * row; ++i) {
      dataset.input_ids.push_back((7 * row + 11 * i) % 61);
      dataset.labels.push_back(i < 2 ? data::kIgnored : dataset.input_ids.back());
    }
    dataset.offsets.push_back(dataset.input_ids.size());
  }
  return dataset;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  return largest;
}

TEST(Decoder, CheckpointingChangesNoBit) {
  for (const bool dora : {false, true}) {
    const auto decoder = make(lora(small_spec(), dora));
    const data::Step step{{{{0, 1, 2}}, {{3, 4, 5}}}};
    const run::StepOptions plain{.seed = 5, .lora_dropout = 0.25},
        recomputed{.seed = 5, .lora_dropout = 0.25, .checkpointing = true};
    const run::StepGradient a = run::compute_gradient(*decoder, rows(), step, plain);
    const run::StepGradient b = run::compute_gradient(*decoder, rows(), step, recomputed);
    EXPECT_EQ(a.sum, b.sum);
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_GT(difference(a.sum, std::vector<float>(a.sum.size())), 1e-4);
  }
}

TEST(Decoder, MicroBatchesAddUpToTheWholeBatch) {
  const auto decoder = make(lora(small_spec()));
  const run::StepGradient whole = run::compute_gradient(*decoder, rows(), {{{{0, 1, 2, 3, 4, 5}}}}, {});
  const run::StepGradient parts = run::compute_gradient(*decoder, rows(), {{{{0}}, {{1, 2}}, {{3}}, {{4, 5}}}}, {});
  EXPECT_NEAR(whole.loss, parts.loss, 1e-6);
  EXPECT_LT(difference(whole.sum, parts.sum), 1e-6);
}

TEST(Decoder, DropoutDependsOnStepAndMicroBatchAlone) {
  const auto decoder = make(lora(small_spec()));
  const data::Step step{{{{0, 1}}, {{2, 3}}}};
  const auto gradient = [&](std::uint32_t number) {
    return run::compute_gradient(*decoder, rows(), step, {.seed = 9, .step = number, .lora_dropout = 0.5}).sum;
  };
  EXPECT_EQ(gradient(3), gradient(3));
  EXPECT_NE(gradient(3), gradient(4));
}

// The loss's slope along the gradient is the gradient's squared length.
TEST(Decoder, GradientIsTheSlopeOfTheLoss) {
  for (const Trained& trained : {lora(small_spec()), lora(small_spec(), true), [] {
                                   Trained full;
                                   full.method = Trained::Method::kFull;
                                   return full;
                                 }()}) {
    const auto decoder = make(trained);
    const data::Dataset dataset = rows();
    const run::StepGradient gradient = run::compute_gradient(*decoder, dataset, {{{{0, 1, 2, 3, 4, 5}}}}, {});
    const at::Tensor direction = at::tensor(gradient.sum, at::kFloat);
    const double squares = direction.to(at::kDouble).pow(2).sum().item<double>();
    const double step = 1e-3 / std::sqrt(squares);
    at::Tensor values = decoder->parameters().values();
    const at::Tensor before = values.clone();
    values.copy_(before + direction * step);
    const double up = run::evaluate(*decoder, dataset, 6);
    values.copy_(before - direction * step);
    const double down = run::evaluate(*decoder, dataset, 6);
    // DoRA's row norms are constants of its gradient, so its slope is only near.
    EXPECT_NEAR((up - down) / (2 * step) / squares, 1.0, trained.use_dora ? 0.2 : 0.02);
  }
}

// So that chunks leave for their owners while lower layers are still to come.
TEST(Decoder, GradientsAreToldOfWhileTheBackwardPassIsUnderWay) {
  Trained full;
  full.method = Trained::Method::kFull;
  for (const Trained& trained : {lora(small_spec()), lora(small_spec(), true), full}) {
    const auto decoder = make(trained);
    ParameterSpace& space = decoder->parameters();
    const runtime::ChunkSpace chunks{.elements = static_cast<std::uint64_t>(space.elements()), .chunk_elements = 100};
    const at::Tensor lowest = space.gradients().slice(0, 0, 100);
    std::vector<std::uint64_t> told;
    bool was_early = false;
    run::GradientFront front(chunks, [&](std::uint64_t chunk) {
      told.push_back(chunk);
      if (told.size() == 1) was_early = lowest.count_nonzero().item<std::int64_t>() == 0;
    });
    const run::Listening listening(space, front);
    run::compute_micro_batch(*decoder, rows(), {{0, 1, 2}}, 0, 10, {});
    EXPECT_EQ(told.size(), chunks.count());
    EXPECT_TRUE(was_early);
    EXPECT_GT(lowest.count_nonzero().item<std::int64_t>(), 0);
  }
}

TEST(Decoder, GradientsWhoseMemoryIsSparedHaveTheSameBits) {
  Trained full;
  full.method = Trained::Method::kFull;
  const data::Step step{{{{0, 1, 2}}, {{3, 4, 5}}}};
  const auto plain = make(full), sparing = make(full);
  ParameterSpace& space = sparing->parameters();
  space.spare_gradients();
  EXPECT_EQ(run::compute_gradient(*sparing, rows(), step, {}).sum, run::compute_gradient(*plain, rows(), step, {}).sum);
  const auto elements = static_cast<std::uint64_t>(space.elements());
  ASSERT_GT(elements, 20'000U) << "some pages";
  space.release_gradients(5, elements - 5);
  EXPECT_LT(space.gradients().count_nonzero().item<std::int64_t>(), 2 * 1024 + 10) << "but its ends";
  space.clear_gradients();
  EXPECT_EQ(space.gradients().count_nonzero().item<std::int64_t>(), 0);
}

TEST(Decoder, TheCacheGivesTheLogitsOfTheWholeText) {
  const auto decoder = make(lora(small_spec()));
  at::NoGradGuard no_grad;
  Batch batch;
  batch.append(rows().ids_of(5), rows().labels_of(5));
  const at::Tensor whole = decoder->logits(decoder->hidden(batch, {}));
  KeyValueCache cache = decoder->make_cache(batch.tokens());
  const std::vector<std::int64_t> first(batch.ids.begin(), batch.ids.begin() + 7);
  at::Tensor last = decoder->extend(first, cache);
  for (std::size_t i = 7; i < batch.ids.size(); ++i) last = decoder->extend({batch.ids[i]}, cache);
  EXPECT_LT((decoder->logits(last)[-1] - whole[-1]).abs().max().item<float>(), 1e-5);
}

TEST(Decoder, MergedWeightsGiveTheAdaptersLogits) {
  for (const bool dora : {false, true}) {
    const auto decoder = make(lora(small_spec(), dora));
    const model_folder::ModelSpec spec = small_spec();
    const Decoder merged(
        spec, [&](const std::string& name, const std::vector<std::int64_t>&) { return decoder->merged_tensor(name); },
        at::kFloat, {});
    at::NoGradGuard no_grad;
    Batch batch;
    batch.append(rows().ids_of(4), rows().labels_of(4));
    const at::Tensor difference = decoder->logits(decoder->hidden(batch, {})) - merged.logits(merged.hidden(batch, {}));
    EXPECT_LT(difference.abs().max().item<float>(), 1e-5);
  }
}

}  // namespace
}  // namespace cadre::model
