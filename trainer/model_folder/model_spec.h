// What a decoder is, as values: every difference between the supported architectures is declared here and nowhere
// else. Made from a Hugging Face config.json (model_folder/config_json.h); used by the model.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cadre::model_folder {

enum class RopeKind { kDefault, kLinear, kDynamic, kLlama3, kYarn, kLongrope };

// Rotary position embedding of one layer type, in the half-split layout of Hugging Face. Names and formulas are those
// of transformers' modeling_rope_utils.
struct RopeSpec {
  RopeKind kind = RopeKind::kDefault;
  double theta = 10000.0;
  std::int64_t rotary_dim = 0;  // leading dimensions of a head that rotate: head_dim × partial_rotary_factor, even
  double factor = 1.0;
  std::int64_t max_position_embeddings = 0;              // of the model (dynamic, longrope)
  std::int64_t original_max_position_embeddings = 0;     // what scaling starts from (llama3, yarn, longrope, dynamic)
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  std::optional<double> attention_factor, mscale, mscale_all_dim;  // yarn, longrope: as given
  bool truncate = true;                                            // yarn
  std::vector<double> short_factor, long_factor;                   // longrope: rotary_dim / 2 values each

  bool operator==(const RopeSpec&) const = default;
};

enum class Activation { kSilu, kGelu, kGeluTanh };
enum class NormWeight { kPlain, kOnePlus };  // y = x̂·w, or x̂·(1 + w) as Gemma stores it

struct LayerSpec {
  std::int64_t sliding_window = 0;  // 0: full causal attention; w: a query sees itself and the w − 1 before it
  int rope = 0;                     // index into ModelSpec::ropes
};

struct ModelSpec {
  std::string architecture;  // "LlamaForCausalLM", …
  std::string model_type;    // "llama", …
  std::int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  Activation activation = Activation::kSilu;
  NormWeight norm_weight = NormWeight::kPlain;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool qk_norm = false;            // RMS norm of each head's query and key before RoPE (Qwen 3, Gemma 3)
  bool post_norms = false;         // norms after attention and after the MLP too (Gemma 2, 3)
  bool fused_projections = false;  // qkv_proj and gate_up_proj on disk and as adapter targets (Phi-3)
  bool scale_embedding = false;    // × sqrt(hidden_size), rounded to the weights' dtype (Gemma)
  double attention_scale = 0.0;    // multiplies q·k: 1/sqrt(head_dim), or 1/sqrt(query_pre_attn_scalar)
  double attention_softcap = 0.0;  // 0: none; else cap·tanh(score/cap) (Gemma 2)
  double final_softcap = 0.0;      // the same on the logits
  std::vector<RopeSpec> ropes;
  std::vector<LayerSpec> layers;

  std::string dtype;                        // "float32", "bfloat16", "float16": as the folder stores its weights
  std::int64_t bos_token_id = -1;           // −1: none
  std::vector<std::int64_t> eos_token_ids;  // generation_config.json wins over config.json
  std::int64_t pad_token_id = -1;
};

// Every tensor that a folder of this spec must hold, with its shape; names as Hugging Face's.
// A tied lm_head.weight is not among them.
std::map<std::string, std::vector<std::int64_t>> expected_tensors(const ModelSpec& spec);

}  // namespace cadre::model_folder
