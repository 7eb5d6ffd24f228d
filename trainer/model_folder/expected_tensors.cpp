#include "trainer/model_folder/model_spec.h"

namespace cadre::model_folder {
namespace {

using Shape = std::vector<std::int64_t>;
using Tensors = std::map<std::string, Shape>;

void add_linear(Tensors& tensors, const std::string& module, std::int64_t out, std::int64_t in, bool bias) {
  tensors[module + ".weight"] = {out, in};
  if (bias) tensors[module + ".bias"] = {out};
}

void add_layer(Tensors& tensors, const ModelSpec& spec, const std::string& layer) {
  const std::int64_t q = spec.num_attention_heads * spec.head_dim, kv = spec.num_key_value_heads * spec.head_dim;
  const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
  if (spec.fused_projections) {
    add_linear(tensors, attention + "qkv_proj", q + 2 * kv, spec.hidden_size, spec.qkv_bias);
    add_linear(tensors, mlp + "gate_up_proj", 2 * spec.intermediate_size, spec.hidden_size, spec.mlp_bias);
  } else {
    add_linear(tensors, attention + "q_proj", q, spec.hidden_size, spec.qkv_bias);
    add_linear(tensors, attention + "k_proj", kv, spec.hidden_size, spec.qkv_bias);
    add_linear(tensors, attention + "v_proj", kv, spec.hidden_size, spec.qkv_bias);
    add_linear(tensors, mlp + "gate_proj", spec.intermediate_size, spec.hidden_size, spec.mlp_bias);
    add_linear(tensors, mlp + "up_proj", spec.intermediate_size, spec.hidden_size, spec.mlp_bias);
  }
  add_linear(tensors, attention + "o_proj", spec.hidden_size, q, spec.o_bias);
  add_linear(tensors, mlp + "down_proj", spec.hidden_size, spec.intermediate_size, spec.mlp_bias);
  if (spec.qk_norm) {
    tensors[attention + "q_norm.weight"] = {spec.head_dim};
    tensors[attention + "k_norm.weight"] = {spec.head_dim};
  }
  tensors[layer + "input_layernorm.weight"] = {spec.hidden_size};
  tensors[layer + "post_attention_layernorm.weight"] = {spec.hidden_size};
  if (spec.post_norms) {
    tensors[layer + "pre_feedforward_layernorm.weight"] = {spec.hidden_size};
    tensors[layer + "post_feedforward_layernorm.weight"] = {spec.hidden_size};
  }
}

}  // namespace

Tensors expected_tensors(const ModelSpec& spec) {
  Tensors tensors;
  tensors["model.embed_tokens.weight"] = {spec.vocab_size, spec.hidden_size};
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    add_layer(tensors, spec, "model.layers." + std::to_string(i) + ".");
  }
  tensors["model.norm.weight"] = {spec.hidden_size};
  if (!spec.tie_word_embeddings) tensors["lm_head.weight"] = {spec.vocab_size, spec.hidden_size};
  return tensors;
}

}  // namespace cadre::model_folder
