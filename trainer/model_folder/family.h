// The supported architectures and what transformers assumes where a config.json says nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace cadre::model_folder {

enum class FamilyName { kLlama, kMistral, kQwen2, kQwen3, kGemma2, kGemma3, kPhi3 };

// How a family decides which layers see a sliding window.
enum class WindowRule {
  kNever,          // full attention everywhere
  kEveryLayer,     // sliding_window, where it is given, holds for all
  kAfterLayer,     // use_sliding_window, from layer max_window_layers on
  kAllButEachNth,  // full attention in each n-th layer, sliding in the others
};

// Defaults of configuration_*.py of transformers 5.17. 0 and −1 mean none.
struct Family {
  FamilyName name;
  std::string_view architecture, model_type;
  std::int64_t vocab_size, hidden_size, intermediate_size, layers, heads;
  std::int64_t key_value_heads;  // 0: as many as heads
  std::int64_t head_dim;         // 0: hidden_size / heads
  std::int64_t max_position_embeddings;
  double rms_norm_eps;
  std::int64_t bos, eos, pad;
  WindowRule windows;
  std::int64_t sliding_window;

  bool is_gemma() const { return name == FamilyName::kGemma2 || name == FamilyName::kGemma3; }
};

// By `architectures[0]`, or by model_type where that is empty; nullptr when neither is known.
const Family* find_family(std::string_view architecture, std::string_view model_type);

// "LlamaForCausalLM, MistralForCausalLM, …"
std::string_view known_architectures();

}  // namespace cadre::model_folder
