// Building a decoder in two rounds: the first declares every trained tensor, so that the parameter space knows its size
// and layout; the second loads and converts.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <regex>

#include "runtime/error.h"
#include "trainer/model/layer.h"

namespace cadre::model {
namespace {

using model_folder::ModelSpec;

// Hugging Face's Trainer: no weight decay for names with "bias", "layernorm", "rmsnorm", ".norm." or "_norm.".
bool decays(const std::string& name) {
  static const std::regex exempt("bias|layernorm|rmsnorm|(^|\\.)norm($|\\.)|_norm($|\\.)");
  return !std::regex_search(name, exempt);
}

}  // namespace

struct Decoder::Builder {
  Decoder& model;
  const TensorSource& source;
  const Trained& trained;
  std::map<std::string, const LoraTarget*> targets;
  std::map<const Projection*, std::vector<std::size_t>> declared;  // indices into the parameter space
  std::map<std::string, std::size_t> declared_tensors;
  std::uint32_t next_site = 0;

  bool full() const { return trained.method == Trained::Method::kFull; }

  std::size_t declare(const std::string& saved_name, const std::vector<std::int64_t>& shape, double lr_scale = 1.0) {
    return model.space_.add({.name = saved_name, .shape = shape, .decays = decays(saved_name), .lr_scale = lr_scale});
  }

  // --- shapes ---

  static Projection projection(const std::vector<std::pair<std::string, std::int64_t>>& parts, std::int64_t in_features,
                               bool bias) {
    Projection result;
    result.in_features = in_features;
    result.has_bias = bias;
    std::int64_t row = 0;
    for (const auto& [module, rows] : parts) {
      result.parts.push_back({module, row, rows});
      row += rows;
    }
    return result;
  }

  void shape_layer(Layer& layer, std::size_t index) const {
    const ModelSpec& spec = model.spec_;
    layer.sliding_window = spec.layers[index].sliding_window;
    layer.rope = static_cast<std::size_t>(spec.layers[index].rope);
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::int64_t q = spec.num_attention_heads * spec.head_dim, kv = spec.num_key_value_heads * spec.head_dim;
    if (spec.fused_projections) {
      layer.qkv = projection({{prefix + "self_attn.qkv_proj", q + 2 * kv}}, spec.hidden_size, spec.qkv_bias);
      layer.gate_up =
          projection({{prefix + "mlp.gate_up_proj", 2 * spec.intermediate_size}}, spec.hidden_size, spec.mlp_bias);
    } else {
      layer.qkv = projection(
          {{prefix + "self_attn.q_proj", q}, {prefix + "self_attn.k_proj", kv}, {prefix + "self_attn.v_proj", kv}},
          spec.hidden_size, spec.qkv_bias);
      layer.gate_up = projection(
          {{prefix + "mlp.gate_proj", spec.intermediate_size}, {prefix + "mlp.up_proj", spec.intermediate_size}},
          spec.hidden_size, spec.mlp_bias);
    }
    layer.o = projection({{prefix + "self_attn.o_proj", spec.hidden_size}}, q, spec.o_bias);
    layer.down = projection({{prefix + "mlp.down_proj", spec.hidden_size}}, spec.intermediate_size, spec.mlp_bias);
  }

  // Name, width and place of every norm of a layer.
  std::vector<std::tuple<std::string, std::int64_t, at::Tensor*>> norms(Layer& layer, std::size_t index) const {
    const ModelSpec& spec = model.spec_;
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    std::vector<std::tuple<std::string, std::int64_t, at::Tensor*>> result;
    result.emplace_back(prefix + "input_layernorm.weight", spec.hidden_size, &layer.input_norm);
    if (spec.post_norms) {
      result.emplace_back(prefix + "post_attention_layernorm.weight", spec.hidden_size, &layer.post_attention_norm);
      result.emplace_back(prefix + "pre_feedforward_layernorm.weight", spec.hidden_size, &layer.mlp_norm);
      result.emplace_back(prefix + "post_feedforward_layernorm.weight", spec.hidden_size, &layer.post_mlp_norm);
    } else {
      result.emplace_back(prefix + "post_attention_layernorm.weight", spec.hidden_size, &layer.mlp_norm);
    }
    if (spec.qk_norm) {
      result.emplace_back(prefix + "self_attn.q_norm.weight", spec.head_dim, &layer.q_norm);
      result.emplace_back(prefix + "self_attn.k_norm.weight", spec.head_dim, &layer.k_norm);
    }
    return result;
  }

  // --- first round: declare ---

  void declare_projection(Projection& projection) {
    std::vector<std::size_t>& indices = declared[&projection];
    if (full()) {
      for (const Projection::Part& part : projection.parts) {
        indices.push_back(declare(part.module + ".weight", {part.rows, projection.in_features}));
      }
      if (!projection.has_bias) return;
      for (const Projection::Part& part : projection.parts) {
        indices.push_back(declare(part.module + ".bias", {part.rows}));
      }
      return;
    }
    for (std::size_t i = 0; i < projection.parts.size(); ++i) {
      const Projection::Part& part = projection.parts[i];
      const auto target = targets.find(part.module);
      if (target == targets.end()) continue;
      CADRE_CHECK(target->second->in_features == projection.in_features && target->second->out_features == part.rows,
                  part.module);
      projection.adapted_parts.push_back(i);
      projection.lora.slices.push_back(
          {part.row_begin, part.rows, target->second->rank, target->second->scaling, next_site++});
      indices.push_back(
          declare(peft_name(part.module, "lora_A.weight"), {target->second->rank, projection.in_features}));
    }
    for (std::size_t i = 0; i < projection.adapted_parts.size(); ++i) {
      const Projection::Part& part = projection.parts[projection.adapted_parts[i]];
      indices.push_back(declare(peft_name(part.module, "lora_B.weight"), {part.rows, projection.lora.slices[i].rank},
                                trained.loraplus_lr_ratio));
    }
    if (!trained.use_dora) return;
    for (const std::size_t i : projection.adapted_parts) {
      // LoRA+ counts one-dimensional tensors to the group of B.
      indices.push_back(declare(peft_name(projection.parts[i].module, "lora_magnitude_vector"),
                                {projection.parts[i].rows}, trained.loraplus_lr_ratio));
    }
  }

  // A whole tensor, trained in full fine-tuning, or as a module to save.
  void declare_tensor(const std::string& name, const std::vector<std::int64_t>& shape, bool saved_module = false) {
    if (full()) {
      declared_tensors[name] = declare(name, shape);
    } else if (saved_module) {
      declared_tensors[name] = declare("base_model.model." + name, shape);
    }
  }

  // --- second round: fill ---

  void fill_projection(Projection& projection) {
    const std::vector<std::size_t>& indices = declared[&projection];
    const std::size_t parts = projection.parts.size();
    std::int64_t rows = 0;
    for (const Projection::Part& part : projection.parts) rows += part.rows;
    if (full()) {
      projection.weight = model.space_.leaf(indices[0], parts);
      if (projection.has_bias) projection.bias = model.space_.leaf(indices[parts], parts);
    } else {
      projection.weight = at::empty({rows, projection.in_features}, model.compute_);
      if (projection.has_bias) projection.bias = at::empty({rows}, model.compute_);
    }
    at::NoGradGuard no_grad;
    for (const Projection::Part& part : projection.parts) {
      projection.weight.narrow(0, part.row_begin, part.rows)
          .copy_(source(part.module + ".weight", {part.rows, projection.in_features}));
      if (projection.has_bias) {
        projection.bias.narrow(0, part.row_begin, part.rows).copy_(source(part.module + ".bias", {part.rows}));
      }
    }
    const std::size_t adapters = projection.adapted_parts.size();
    if (full() || adapters == 0) return;
    projection.lora_a = model.space_.leaf(indices[0], adapters);
    for (std::size_t i = 0; i < adapters; ++i) {
      projection.lora_b.push_back(model.space_.leaf(indices[adapters + i]));
      if (!trained.use_dora) continue;
      projection.magnitude.push_back(model.space_.leaf(indices[2 * adapters + i]));
      const Projection::Part& part = projection.parts[projection.adapted_parts[i]];
      // DoRA starts where B = 0 leaves the norm of the base's rows.
      projection.magnitude.back().copy_(
          at::linalg_vector_norm(projection.weight.narrow(0, part.row_begin, part.rows).to(at::kFloat), 2, {1}));
    }
  }

  at::Tensor fill_tensor(const std::string& name, const std::vector<std::int64_t>& shape) {
    const at::Tensor stored = source(name, shape);
    const auto index = declared_tensors.find(name);
    if (index == declared_tensors.end()) return at::empty(shape, model.compute_).copy_(stored);
    at::Tensor leaf = model.space_.leaf(index->second);
    at::NoGradGuard no_grad;
    leaf.copy_(stored);
    return leaf;
  }

  void build() {
    const ModelSpec& spec = model.spec_;
    for (const LoraTarget& target : trained.targets) targets[target.module] = &target;
    const auto saves = [&](const char* name) {
      return std::find(trained.modules_to_save.begin(), trained.modules_to_save.end(), name) !=
             trained.modules_to_save.end();
    };
    for (const std::string& name : trained.modules_to_save) {
      if (name != "embed_tokens" && name != "lm_head") {
        throw runtime::UserError("lora_modules_to_save: expected embed_tokens or lm_head, found " + name);
      }
    }
    const std::vector<std::int64_t> table{spec.vocab_size, spec.hidden_size};
    const bool tied = spec.tie_word_embeddings;

    declare_tensor("model.embed_tokens.weight", table, saves("embed_tokens") || (tied && saves("lm_head")));
    for (std::size_t i = 0; i < spec.layers.size(); ++i) {
      Layer& layer = *model.layers_.emplace_back(std::make_unique<Layer>());
      shape_layer(layer, i);
      for (Projection* projection : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
        declare_projection(*projection);
      for (const auto& [name, width, place] : norms(layer, i)) declare_tensor(name, {width});
    }
    declare_tensor("model.norm.weight", {spec.hidden_size});
    if (!tied) declare_tensor("lm_head.weight", table, saves("lm_head"));
    model.space_.allocate();

    model.embedding_ = fill_tensor("model.embed_tokens.weight", table);
    for (std::size_t i = 0; i < model.layers_.size(); ++i) {
      Layer& layer = *model.layers_[i];
      for (Projection* projection : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) fill_projection(*projection);
      for (const auto& [name, width, place] : norms(layer, i))
        *place = model.vectors_[name] = fill_tensor(name, {width});
    }
    model.final_norm_ = model.vectors_["model.norm.weight"] = fill_tensor("model.norm.weight", {spec.hidden_size});
    if (!tied) model.head_ = fill_tensor("lm_head.weight", table);
  }
};

Decoder::Decoder(const ModelSpec& spec, const TensorSource& source, at::ScalarType compute, const Trained& trained)
    : spec_(spec), compute_(compute) {
  Builder builder{*this, source, trained, {}, {}, {}, 0};
  builder.build();
}

Decoder::~Decoder() = default;

}  // namespace cadre::model
