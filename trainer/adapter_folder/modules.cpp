#include "trainer/adapter_folder/modules.h"

namespace cadre::adapter_folder {
namespace {

using model_folder::ModelSpec;

void add_layer(std::vector<Module>& modules, const ModelSpec& spec, const std::string& layer) {
  const auto other = [&](const std::string& name) { modules.push_back({layer + name}); };
  const auto linear = [&](const std::string& name, std::int64_t in, std::int64_t out) {
    modules.push_back({layer + name, ModuleKind::kLinear, in, out});
  };
  const std::int64_t q = spec.num_attention_heads * spec.head_dim, kv = spec.num_key_value_heads * spec.head_dim;
  modules.push_back({layer.substr(0, layer.size() - 1)});
  other("self_attn");
  if (spec.fused_projections) {
    linear("self_attn.qkv_proj", spec.hidden_size, q + 2 * kv);
  } else {
    linear("self_attn.q_proj", spec.hidden_size, q);
    linear("self_attn.k_proj", spec.hidden_size, kv);
    linear("self_attn.v_proj", spec.hidden_size, kv);
  }
  linear("self_attn.o_proj", q, spec.hidden_size);
  if (spec.qk_norm) {
    other("self_attn.q_norm");
    other("self_attn.k_norm");
  }
  other("mlp");
  if (spec.fused_projections) {
    linear("mlp.gate_up_proj", spec.hidden_size, 2 * spec.intermediate_size);
  } else {
    linear("mlp.gate_proj", spec.hidden_size, spec.intermediate_size);
    linear("mlp.up_proj", spec.hidden_size, spec.intermediate_size);
  }
  linear("mlp.down_proj", spec.intermediate_size, spec.hidden_size);
  other(spec.fused_projections ? "mlp.activation_fn" : "mlp.act_fn");
  other("input_layernorm");
  other("post_attention_layernorm");
  if (spec.post_norms) {
    other("pre_feedforward_layernorm");
    other("post_feedforward_layernorm");
  }
  if (spec.fused_projections) {
    other("resid_attn_dropout");
    other("resid_mlp_dropout");
  }
}

}  // namespace

std::vector<Module> modules_of(const ModelSpec& spec) {
  std::vector<Module> modules{{"model"}, {"model.embed_tokens", ModuleKind::kEmbedding}, {"model.layers"}};
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    add_layer(modules, spec, "model.layers." + std::to_string(i) + ".");
  }
  modules.push_back({"model.norm"});
  modules.push_back({"model.rotary_emb"});
  modules.push_back({"lm_head", ModuleKind::kHead});
  return modules;
}

std::vector<std::string> linear_names(const ModelSpec& spec) {
  if (spec.fused_projections) return {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"};
  return {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
}

}  // namespace cadre::adapter_folder
