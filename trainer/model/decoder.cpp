#include "trainer/model/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "trainer/kernels/attention.h"
#include "trainer/model/held.h"
#include "trainer/model/layer.h"
#include "trainer/model/storage.h"

namespace cadre::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using LayerFunction = std::function<at::Tensor(const at::Tensor&)>;

// Gradient checkpointing (Chen et al. 2016). `anchor` is any leaf that needs a gradient: without it a first layer,
// whose input needs none, would be left out of the graph. Leaves inside receive theirs from the inner backward pass.
struct Recomputed : Function<Recomputed> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& anchor,
                            const LayerFunction& layer) {
    static_cast<void>(anchor);
    context->save_for_backward({x});
    hold(context, layer);
    at::NoGradGuard no_grad;
    return layer(x);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    at::AutoGradMode with_grad(true);
    at::Tensor x = context->get_saved_variables()[0].detach();
    x.requires_grad_(context->needs_input_grad(0));
    const at::Tensor y = held<LayerFunction>(context)(x);
    torch::autograd::backward({y}, {gradients[0]});
    return {x.grad(), {}, {}};
  }
};

}  // namespace

at::Tensor Decoder::embed(const std::vector<std::int64_t>& ids) const {
  const at::Tensor index = at::tensor(ids, at::kLong);
  // As in transformers, looking up the padding token gives its row no gradient.
  at::Tensor x = at::embedding(embedding_, index, spec_.pad_token_id).to(compute_);
  if (spec_.scale_embedding) {
    const auto scale = at::scalar_tensor(std::sqrt(static_cast<double>(spec_.hidden_size)), compute_);
    x = x * scale.item();
  }
  return x;
}

at::Tensor Decoder::normed(const at::Tensor& x, const at::Tensor& weight) const {
  return rms_norm(x, weight, spec_.rms_norm_eps, spec_.norm_weight == model_folder::NormWeight::kOnePlus);
}

AttentionCall Decoder::attention_call(const Layer& layer, std::shared_ptr<const AttentionPlan> plan) const {
  return {.plan = std::move(plan),
          .heads = spec_.num_attention_heads,
          .kv_heads = spec_.num_key_value_heads,
          .head_dim = spec_.head_dim,
          .rotary_dim = spec_.ropes[layer.rope].rotary_dim,
          .rope = layer.rope,
          .scale = spec_.attention_scale,
          .softcap = spec_.attention_softcap,
          .window = layer.sliding_window};
}

at::Tensor Decoder::attend(const Layer& layer, const at::Tensor& x, const AttentionCall& call, const Pass& pass,
                           KeyValueCache* cache, std::size_t index) const {
  at::Tensor qkv = layer.qkv.apply(x, pass.lora_dropout, pass.key);
  if (spec_.qk_norm) {
    const std::int64_t rows = qkv.size(0), q = call.heads * call.head_dim, kv = call.kv_heads * call.head_dim;
    const auto per_head = [&](std::int64_t begin, std::int64_t width, const at::Tensor& weight) {
      return normed(qkv.narrow(1, begin, width).reshape({-1, call.head_dim}), weight).view({rows, width});
    };
    qkv = at::cat({per_head(0, q, layer.q_norm), per_head(q, kv, layer.k_norm), qkv.narrow(1, q + kv, kv)}, 1);
  }
  if (cache == nullptr) return attention(qkv, call);

  rotate_queries_and_keys(qkv, call);
  const std::int64_t rows = qkv.size(0), q = call.heads * call.head_dim, kv = call.kv_heads * call.head_dim;
  cache->keys[index].narrow(0, cache->length, rows).copy_(qkv.narrow(1, q, kv));
  cache->values[index].narrow(0, cache->length, rows).copy_(qkv.narrow(1, q + kv, kv));
  at::Tensor out = at::empty({rows, q}, qkv.options()), log_sum_exp = at::empty({rows, call.heads}, at::kFloat);
  const kernels::AttentionShape shape = attention_shape(call, {.q = qkv.size(1), .kv = kv});
  with_element_type(qkv.scalar_type(), [&](auto t) {
    using T = decltype(t);
    kernels::attention_forward(shape, call.plan->documents, data_of<T>(qkv), data_of<T>(cache->keys[index]),
                               data_of<T>(cache->values[index]), data_of<T>(out), data_of<float>(log_sum_exp));
  });
  return out;
}

at::Tensor Decoder::run_layer(const Layer& layer, const at::Tensor& x, const AttentionCall& call, const Pass& pass,
                              KeyValueCache* cache, std::size_t index) const {
  at::Tensor attended = attend(layer, normed(x, layer.input_norm), call, pass, cache, index);
  attended = layer.o.apply(attended, pass.lora_dropout, pass.key);
  if (layer.post_attention_norm.defined()) attended = normed(attended, layer.post_attention_norm);
  const at::Tensor middle = x + attended;

  const auto gate = spec_.activation == model_folder::Activation::kSilu   ? kernels::Gate::kSilu
                    : spec_.activation == model_folder::Activation::kGelu ? kernels::Gate::kGelu
                                                                          : kernels::Gate::kGeluTanh;
  at::Tensor mlp = layer.gate_up.apply(normed(middle, layer.mlp_norm), pass.lora_dropout, pass.key);
  mlp = layer.down.apply(gated(gate, mlp), pass.lora_dropout, pass.key);
  if (layer.post_mlp_norm.defined()) mlp = normed(mlp, layer.post_mlp_norm);
  return middle + mlp;
}

at::Tensor Decoder::hidden(const Batch& batch, const Pass& pass) const {
  auto plan = std::make_shared<AttentionPlan>();
  std::vector<RopeRows> rows;
  for (std::int64_t d = 0; d < batch.documents(); ++d) {
    const std::int64_t begin = batch.offsets[static_cast<std::size_t>(d)];
    const std::int64_t length = batch.offsets[static_cast<std::size_t>(d) + 1] - begin;
    plan->documents.push_back({begin, length, begin, length});
    rows.push_back({0, length, length});
  }
  for (const auto& rope : spec_.ropes) plan->rope_tables.push_back(rope_table(rope, rows));

  at::Tensor x = embed(batch.ids);
  const bool recompute = pass.checkpointing && at::GradMode::is_enabled() && space_.elements() > 0;
  const at::Tensor anchor = recompute ? at::empty({0}, at::kFloat).requires_grad_() : at::Tensor();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = *layers_[i];
    const AttentionCall call = attention_call(layer, plan);
    const LayerFunction run = [this, &layer, call, pass, i](const at::Tensor& input) {
      return run_layer(layer, input, call, pass, nullptr, i);
    };
    // A layer that neither trains nor passes a gradient on is not part of the graph.
    x = recompute && (x.requires_grad() || layer.trains()) ? Recomputed::apply(x, anchor, run) : run(x);
  }
  return x;
}

at::Tensor Decoder::head_weight() const {
  return (head_.defined() ? head_ : embedding_).to(compute_);
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  const at::Tensor result = base_linear(normed(hidden, final_norm_), head_weight()).to(at::kFloat);
  if (spec_.final_softcap == 0) return result;
  return at::tanh(result / spec_.final_softcap) * spec_.final_softcap;
}

HeadLoss Decoder::loss(const at::Tensor& hidden, const Batch& batch, double gradient_scale) const {
  // Only rows that predict a trained token go through the final norm and the head.
  const at::Tensor rows = at::index_select(hidden, 0, at::tensor(batch.target_rows, at::kLong));
  return head_loss(normed(rows, final_norm_), head_weight(), batch.targets, spec_.final_softcap, gradient_scale);
}

KeyValueCache Decoder::make_cache(std::int64_t capacity) const {
  KeyValueCache cache;
  cache.capacity = capacity;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    cache.keys.push_back(at::empty({capacity, spec_.num_key_value_heads * spec_.head_dim}, compute_));
    cache.values.push_back(at::empty_like(cache.keys.back()));
  }
  return cache;
}

at::Tensor Decoder::extend(const std::vector<std::int64_t>& ids, KeyValueCache& cache) const {
  at::NoGradGuard no_grad;
  const auto rows = static_cast<std::int64_t>(ids.size());
  CADRE_CHECK(cache.length + rows <= cache.capacity, cache.length, " + ", rows, " tokens in a cache of ",
              cache.capacity);
  auto plan = std::make_shared<AttentionPlan>();
  plan->documents.push_back({0, rows, 0, cache.length + rows});
  const std::vector<RopeRows> positions{{cache.length, rows, cache.length + rows}};
  for (const auto& rope : spec_.ropes) plan->rope_tables.push_back(rope_table(rope, positions));
  at::Tensor x = embed(ids);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    x = run_layer(*layers_[i], x, attention_call(*layers_[i], plan), {}, &cache, i);
  }
  cache.length += rows;
  return x;
}

at::Tensor Decoder::merged_weight(const std::string& module) const {
  for (const auto& layer : layers_) {
    for (const Projection* projection : {&layer->qkv, &layer->o, &layer->gate_up, &layer->down}) {
      for (std::size_t i = 0; i < projection->parts.size(); ++i) {
        if (projection->parts[i].module == module) return projection->merged(i);
      }
    }
  }
  CADRE_CHECK(false, "no module ", module);
  return {};
}

at::Tensor Decoder::merged_tensor(const std::string& name) const {
  at::NoGradGuard no_grad;
  if (name == "model.embed_tokens.weight") return embedding_.to(at::kFloat);
  if (name == "lm_head.weight") return head_weight().to(at::kFloat);
  if (const auto it = vectors_.find(name); it != vectors_.end()) return it->second.to(at::kFloat);
  const std::size_t dot = name.rfind('.');
  const std::string module = name.substr(0, dot);
  if (name.substr(dot) == ".weight") return merged_weight(module);
  for (const auto& layer : layers_) {
    for (const Projection* projection : {&layer->qkv, &layer->o, &layer->gate_up, &layer->down}) {
      for (const Projection::Part& part : projection->parts) {
        if (part.module == module) return projection->bias.narrow(0, part.row_begin, part.rows).to(at::kFloat);
      }
    }
  }
  CADRE_CHECK(false, "no tensor ", name);
  return {};
}

}  // namespace cadre::model
