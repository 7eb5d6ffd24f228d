// What the parity tests ask of the model: logits of given ids, gradients of given micro-batches, with one declared
// difference of the architecture switched off where a test wants to see that it matters.
//
//   probe_model logits    --model DIR [--adapter DIR] --input IN --output OUT [--dtype float32|bfloat16] [--mutate
//   NAME] probe_model gradients --model DIR [--adapter DIR | --full] --input IN --output OUT [--dtype …]
//   [--checkpointing]
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "runtime/error.h"
#include "tests/unit/tensor/whole_step.h"
#include "trainer/adapter/peft.h"
#include "trainer/model/decoder.h"
#include "trainer/model/stored_tensor.h"
#include "trainer/safetensors/writer.h"

namespace {

using namespace cadre;

using Options = std::map<std::string, std::string>;

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    const bool flag = name == "--full" || name == "--checkpointing";
    if (!flag && i + 1 >= argc) throw runtime::UserError(name + ": expected a value");
    options[name] = flag ? "true" : argv[++i];
  }
  return options;
}

// Each takes one declared difference away.
const std::map<std::string, std::function<void(model_folder::ModelSpec&)>> kMutations = {
    {"qkv_bias", [](auto& s) { s.qkv_bias = false; }},
    {"o_bias", [](auto& s) { s.o_bias = false; }},
    {"mlp_bias", [](auto& s) { s.mlp_bias = false; }},
    {"qk_norm", [](auto& s) { s.qk_norm = false; }},
    {"norm_one_plus", [](auto& s) { s.norm_weight = model_folder::NormWeight::kPlain; }},
    {"scale_embedding", [](auto& s) { s.scale_embedding = false; }},
    {"attention_softcap", [](auto& s) { s.attention_softcap = 0; }},
    {"final_softcap", [](auto& s) { s.final_softcap = 0; }},
    {"attention_scale", [](auto& s) { s.attention_scale = 2 / std::sqrt(static_cast<double>(s.head_dim)); }},
    {"sliding_window",
     [](auto& s) {
       for (auto& layer : s.layers) layer.sliding_window = 0;
     }},
    {"rope_scaling",
     [](auto& s) {
       for (auto& rope : s.ropes) rope.kind = model_folder::RopeKind::kDefault;
     }},
    {"rope_local",
     [](auto& s) {
       for (auto& layer : s.layers) layer.rope = s.layers.back().rope;
     }},
    {"partial_rotary",
     [](auto& s) {
       for (auto& rope : s.ropes) {
         rope.rotary_dim = s.head_dim;
         const auto half = static_cast<std::size_t>(s.head_dim / 2);
         if (!rope.short_factor.empty()) rope.short_factor.resize(half, 1.0), rope.long_factor.resize(half, 1.0);
       }
     }},
    {"activation",
     [](auto& s) {
       s.activation = s.activation == model_folder::Activation::kSilu ? model_folder::Activation::kGelu
                                                                      : model_folder::Activation::kSilu;
     }},
    {"rms_norm_eps", [](auto& s) { s.rms_norm_eps = 0.1; }},
    {"longrope_per_document",
     [](auto& s) {
       for (auto& rope : s.ropes) rope.long_factor = rope.short_factor;
     }},
    {"dynamic_per_document",
     [](auto& s) {
       for (auto& rope : s.ropes) rope.max_position_embeddings = 1 << 20;
     }},
    {"attention_factor",
     [](auto& s) {
       for (auto& rope : s.ropes) rope.attention_factor = 1.0;
     }},
    {"tie_word_embeddings", [](auto& s) { s.tie_word_embeddings = !s.tie_word_embeddings; }},
    // Takes the norm after attention for the one before the MLP, as in architectures without post norms.
    {"post_norms", [](auto& s) { s.post_norms = false; }},
};

std::vector<std::int64_t> integers(const safetensors::File& file, const std::string& name) {
  const safetensors::TensorView* view = file.find(name);
  if (view == nullptr) throw runtime::UserError(file.path().string() + ": no tensor " + name);
  const at::Tensor tensor = model::tensor_of(*view).to(at::kLong).contiguous();
  const auto* data = tensor.data_ptr<std::int64_t>();
  return {data, data + tensor.numel()};
}

int probe(int argc, char** argv) {
  if (argc < 2) throw runtime::UserError("expected logits or gradients");
  const std::string verb = argv[1];
  const Options options = parse(argc, argv);
  const auto option = [&](const std::string& name, const std::string& fallback) {
    const auto it = options.find(name);
    return it == options.end() ? fallback : it->second;
  };
  at::set_num_threads(1);
  const model_folder::Folder folder = model_folder::Folder::open(option("--model", ""));
  model_folder::ModelSpec spec = folder.spec();
  const std::string mutation = option("--mutate", "");
  if (!mutation.empty() && mutation != "document_boundaries") kMutations.at(mutation)(spec);

  model::Trained trained;
  std::optional<adapter_folder::AdapterFolder> adapter;
  if (options.contains("--adapter")) {
    adapter.emplace(adapter_folder::AdapterFolder::open(option("--adapter", ""), spec));
    trained = adapter::trained_by(adapter->config(), spec);
  } else if (options.contains("--full")) {
    trained.method = model::Trained::Method::kFull;
  }
  const at::ScalarType compute = option("--dtype", "float32") == "bfloat16" ? at::kBFloat16 : at::kFloat;
  model::Decoder decoder(spec, model::source_of(folder), compute, trained);
  if (adapter) adapter::load_adapter(*adapter, decoder.parameters());

  const safetensors::File input{option("--input", "")};
  std::vector<std::int64_t> ids = integers(input, "input_ids"), offsets = integers(input, "offsets");
  if (mutation == "document_boundaries") offsets = {0, static_cast<std::int64_t>(ids.size())};

  std::vector<safetensors::NamedTensor> results;
  std::vector<at::Tensor> kept;
  const auto keep = [&](const std::string& name, const at::Tensor& tensor) {
    kept.push_back(tensor.contiguous());
    results.push_back({name, model::view_of(kept.back())});
  };
  if (verb == "logits") {
    at::NoGradGuard no_grad;
    model::Batch batch;
    batch.ids = ids;
    batch.offsets = offsets;
    keep("logits", decoder.logits(decoder.hidden(batch, {})));
  } else if (verb == "gradients") {
    const std::vector<std::int64_t> labels = integers(input, "labels"), cuts = integers(input, "micro_batches");
    data::Dataset dataset;
    dataset.input_ids.assign(ids.begin(), ids.end());
    dataset.labels.assign(labels.begin(), labels.end());
    dataset.offsets.assign(offsets.begin(), offsets.end());
    data::Step step;
    for (std::size_t m = 0; m + 1 < cuts.size(); ++m) {
      data::MicroBatch& micro_batch = step.micro_batches.emplace_back();
      for (std::int64_t row = cuts[m]; row < cuts[m + 1]; ++row)
        micro_batch.rows.push_back(static_cast<std::uint32_t>(row));
    }
    const run::StepGradient gradient =
        run::compute_gradient(decoder, dataset, step, {.checkpointing = options.contains("--checkpointing")});
    const at::Tensor flat = at::tensor(gradient.sum, at::kFloat);
    for (const model::Parameter& parameter : decoder.parameters().parameters()) {
      keep(parameter.name, flat.narrow(0, parameter.offset, parameter.elements()).view(parameter.shape));
    }
    keep("loss", at::tensor(std::vector<float>{static_cast<float>(gradient.loss)}));
  } else {
    throw runtime::UserError("expected logits or gradients, found " + verb);
  }
  safetensors::write(option("--output", ""), results);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return probe(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "probe_model: " << error.what() << '\n';
    return 2;
  }
}
