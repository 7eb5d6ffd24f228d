// config.json → ModelSpec.
#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/error.h"
#include "runtime/quote.h"
#include "trainer/model_folder/family.h"
#include "trainer/model_folder/folder.h"
#include "trainer/model_folder/json_fields.h"
#include "trainer/model_folder/rope_config.h"

namespace cadre::model_folder {
namespace {

using runtime::in_quotes;
using runtime::say;

// Far above any model there is, and low enough that no product of two overflows.
constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxLayers = 1000;
constexpr std::int64_t kMaxHeads = 4096;

const Family& family_of(const JsonFields& config) {
  std::string architecture;
  if (const auto names = config.texts("architectures"); names && !names->empty()) architecture = names->front();
  const std::string model_type = config.text("model_type").value_or("");
  if (architecture.empty() && model_type.empty()) {
    config.fail("architectures", say("expected one of ", known_architectures(), ", found nothing"));
  }
  const Family* family = find_family(architecture, model_type);
  if (family == nullptr) {
    const bool by_type = architecture.empty();
    std::string message =
        say(in_quotes(by_type ? model_type : architecture), " is not supported; known are ", known_architectures());
    if (architecture == "Gemma3ForConditionalGeneration" || model_type == "gemma3") {
      message += "; save the text model alone (Gemma3ForCausalLM) from it";
    }
    config.fail(by_type ? "model_type" : "architectures", message);
  }
  if (!model_type.empty() && model_type != family->model_type) {
    config.fail("model_type",
                say("expected ", family->model_type, " beside ", architecture, ", found ", in_quotes(model_type)));
  }
  return *family;
}

// Whatever would change the mathematics and is not built.
void refuse_unsupported(const JsonFields& config) {
  for (const char* name : {"attention_dropout", "resid_pdrop", "embd_pdrop"}) {
    if (config.number(name).value_or(0.0) != 0.0) config.expected(name, "0, since no dropout but LoRA's is supported");
  }
  for (const char* name : {"quantization_config", "compression_config"}) {
    if (config.find(name) != nullptr) {
      config.fail(name, "quantized weights are not supported; use the folder with the original ones");
    }
  }
  for (const char* name : {"vision_config", "audio_config", "text_config"}) {
    if (config.find(name) != nullptr) config.fail(name, "only models of text alone are supported");
  }
  for (const char* name : {"use_bidirectional_attention", "is_encoder_decoder", "add_cross_attention"}) {
    const boost::json::value* value = config.find(name);
    if (value != nullptr && (!value->is_bool() || value->get_bool())) {
      config.expected(name, "false, since only causal attention is supported");
    }
  }
  if (!config.flag("is_causal").value_or(true)) config.expected("is_causal", "true");
  if (const auto layers = config.object("per_layer_config"); layers && !layers->json().empty()) {
    config.fail("per_layer_config", "layers of different sizes are not supported");
  }
  for (const char* name : {"num_experts", "num_local_experts", "n_routed_experts"}) {
    if (config.integer(name).value_or(0) > 1) config.fail(name, "mixtures of experts are not supported");
  }
}

void parse_sizes(const JsonFields& config, const Family& family, ModelSpec& spec) {
  const auto size = [&](const char* name, std::int64_t otherwise, std::int64_t most) {
    return config.integer(name, {1, most}).value_or(otherwise);
  };
  spec.vocab_size = size("vocab_size", family.vocab_size, kMaxVocabulary);
  spec.hidden_size = size("hidden_size", family.hidden_size, kMaxWidth);
  spec.intermediate_size = size("intermediate_size", family.intermediate_size, kMaxWidth);
  spec.layers.resize(static_cast<std::size_t>(size("num_hidden_layers", family.layers, kMaxLayers)));
  spec.max_position_embeddings = size("max_position_embeddings", family.max_position_embeddings, std::int64_t{1} << 32);
  spec.rms_norm_eps = config.number("rms_norm_eps", {0.0, 1.0}).value_or(family.rms_norm_eps);

  spec.num_attention_heads = size("num_attention_heads", family.heads, kMaxHeads);
  // null means as many as heads, absent what the family assumes.
  const std::int64_t unsaid = config.is_null("num_key_value_heads") ? 0 : family.key_value_heads;
  spec.num_key_value_heads = size("num_key_value_heads", unsaid != 0 ? unsaid : spec.num_attention_heads, kMaxHeads);
  if (spec.num_attention_heads % spec.num_key_value_heads != 0) {
    config.fail("num_key_value_heads", say("expected a divisor of num_attention_heads (", spec.num_attention_heads,
                                           "), found ", spec.num_key_value_heads));
  }
  spec.head_dim = size("head_dim", config.is_null("head_dim") ? 0 : family.head_dim, 8192);
  if (spec.head_dim == 0) {
    if (spec.hidden_size % spec.num_attention_heads != 0) {
      config.fail("hidden_size", say("expected a multiple of num_attention_heads (", spec.num_attention_heads,
                                     "), found ", spec.hidden_size));
    }
    spec.head_dim = spec.hidden_size / spec.num_attention_heads;
  }
  if (spec.head_dim % 2 != 0) config.fail("head_dim", say("expected an even number, found ", spec.head_dim));
  if (spec.head_dim * spec.num_attention_heads > 4 * kMaxWidth) {
    config.fail("head_dim", say(spec.num_attention_heads, " heads of ", spec.head_dim, " are too wide"));
  }
}

Activation parse_activation(const JsonFields& config, const Family& family) {
  // Gemma's folders may hold a hidden_act too, which is not used.
  const char* name = family.is_gemma() ? "hidden_activation" : "hidden_act";
  const std::string text = config.text(name).value_or(family.is_gemma() ? "gelu_pytorch_tanh" : "silu");
  if (text == "silu" || text == "swish") return Activation::kSilu;
  if (text == "gelu") return Activation::kGelu;
  if (text == "gelu_pytorch_tanh" || text == "gelu_new") return Activation::kGeluTanh;
  config.expected(name, "one of silu, gelu, gelu_pytorch_tanh and gelu_new");
}

// One entry a layer: does it see a window only?
std::vector<bool> sliding_layers(const JsonFields& config, const Family& family, std::int64_t window,
                                 std::size_t layers) {
  std::vector<bool> sliding(layers, false);
  if (family.windows == WindowRule::kEveryLayer) sliding.assign(layers, window > 0);
  if (family.windows == WindowRule::kAfterLayer) {
    const std::int64_t first = config.integer("max_window_layers").value_or(28);
    for (std::size_t i = 0; i < layers; ++i) sliding[i] = window > 0 && static_cast<std::int64_t>(i) >= first;
  }
  if (family.windows == WindowRule::kAllButEachNth) {
    const bool counts = family.name == FamilyName::kGemma3;
    const auto nth =
        static_cast<std::size_t>(counts ? config.integer("sliding_window_pattern", {1, kMaxLayers}).value_or(6) : 2);
    for (std::size_t i = 0; i < layers; ++i) sliding[i] = (i + 1) % nth != 0;
  }
  const auto types = config.texts("layer_types");
  if (!types) return sliding;
  if (types->size() != layers) {
    config.fail("layer_types", say("expected ", layers, " entries, one a layer, found ", types->size()));
  }
  const bool decides = family.windows == WindowRule::kAfterLayer || family.windows == WindowRule::kAllButEachNth;
  for (std::size_t i = 0; i < layers; ++i) {
    const std::string& type = (*types)[i];
    if (type != "full_attention" && type != "sliding_attention") {
      config.fail("layer_types", say("expected full_attention or sliding_attention, found ", in_quotes(type)));
    }
    const bool slides = type == "sliding_attention";
    if (!decides && slides != sliding[i]) {
      config.fail("layer_types",
                  say(type, " at layer ", i, " contradicts sliding_window, which ", family.architecture, " goes by"));
    }
    sliding[i] = slides;
  }
  return sliding;
}

void parse_windows(const JsonFields& config, const Family& family, ModelSpec& spec) {
  std::int64_t window = 0;
  const bool used = family.windows == WindowRule::kAfterLayer ? config.flag("use_sliding_window").value_or(false)
                                                              : family.windows != WindowRule::kNever;
  if (used && !config.is_null("sliding_window")) {
    window = config.integer("sliding_window", {1, std::int64_t{1} << 32}).value_or(family.sliding_window);
  }
  const std::vector<bool> sliding = sliding_layers(config, family, window, spec.layers.size());
  for (std::size_t i = 0; i < sliding.size(); ++i) {
    if (sliding[i] && window == 0) {
      config.fail(family.windows == WindowRule::kAfterLayer ? "use_sliding_window" : "sliding_window",
                  say("layer ", i, " has sliding attention, but there is no window"));
    }
    spec.layers[i].sliding_window = sliding[i] ? window : 0;
    spec.layers[i].rope = family.name == FamilyName::kGemma3 && sliding[i] ? 1 : 0;
  }
}

void parse_differences(const JsonFields& config, const Family& family, ModelSpec& spec) {
  spec.activation = parse_activation(config, family);
  spec.tie_word_embeddings = config.flag("tie_word_embeddings").value_or(family.is_gemma());
  spec.norm_weight = family.is_gemma() ? NormWeight::kOnePlus : NormWeight::kPlain;
  spec.post_norms = spec.scale_embedding = family.is_gemma();
  spec.qk_norm = family.name == FamilyName::kQwen3 || family.name == FamilyName::kGemma3;
  spec.fused_projections = family.name == FamilyName::kPhi3;

  // Mistral, Qwen 2 and Phi-3 have no such switch, and do not look at one.
  const bool switched = family.name == FamilyName::kLlama || family.name == FamilyName::kQwen3 || family.is_gemma();
  const bool biases = switched && config.flag("attention_bias").value_or(false);
  spec.qkv_bias = biases || family.name == FamilyName::kQwen2;
  spec.o_bias = biases;
  spec.mlp_bias = family.name == FamilyName::kLlama && config.flag("mlp_bias").value_or(false);

  double scalar = static_cast<double>(spec.head_dim);
  if (family.is_gemma()) {
    scalar = config.number("query_pre_attn_scalar", {1e-6, 1e9}).value_or(256.0);
    const bool gemma2 = family.name == FamilyName::kGemma2;
    const auto cap = [&](const char* name, double otherwise) {
      return config.is_null(name) ? 0.0 : config.number(name, {1e-6, 1e9}).value_or(gemma2 ? otherwise : 0.0);
    };
    // transformers reads Gemma 3's and never applies it.
    if (gemma2) spec.attention_softcap = cap("attn_logit_softcapping", 50.0);
    spec.final_softcap = cap("final_logit_softcapping", 30.0);
  }
  spec.attention_scale = 1.0 / std::sqrt(scalar);
}

std::string parse_dtype(const JsonFields& config) {
  const char* name = config.find("dtype") != nullptr ? "dtype" : "torch_dtype";
  const std::string dtype = config.text(name).value_or("float32");
  if (dtype != "float32" && dtype != "bfloat16" && dtype != "float16") {
    config.expected(name, "float32, bfloat16 or float16");
  }
  return dtype;
}

// A token that is not in the vocabulary can never come up: it counts as none. Folders made for tests have such ids.
std::vector<std::int64_t> token_ids(const JsonFields& config, const char* name, std::int64_t vocab_size) {
  std::vector<std::int64_t> ids;
  const boost::json::value* value = config.find(name);
  if (value == nullptr) return ids;
  const auto take = [&](const boost::json::value& entry) {
    if (!entry.is_int64()) config.expected(name, "a token id or a list of them");
    const std::int64_t id = entry.get_int64();
    if (id >= 0 && id < vocab_size && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  if (const auto* list = value->if_array()) {
    if (list->size() > 10000) config.fail(name, say("expected a few token ids, found ", list->size()));
    std::for_each(list->begin(), list->end(), take);
  } else {
    take(*value);
  }
  return ids;
}

void parse_tokens(const JsonFields& config, const JsonFields& generation, const Family& family, ModelSpec& spec) {
  const auto ids = [&](const char* name, std::int64_t otherwise) -> std::vector<std::int64_t> {
    if (generation.find(name) != nullptr) return token_ids(generation, name, spec.vocab_size);
    if (config.json().contains(name)) return token_ids(config, name, spec.vocab_size);
    return otherwise >= 0 && otherwise < spec.vocab_size ? std::vector{otherwise} : std::vector<std::int64_t>{};
  };
  const auto first = [](const std::vector<std::int64_t>& found) { return found.empty() ? -1 : found.front(); };
  spec.bos_token_id = first(ids("bos_token_id", family.bos));
  spec.eos_token_ids = ids("eos_token_id", family.eos);
  // That of config.json alone: it is the embedding's, not the generation's.
  const bool given = config.json().contains("pad_token_id");
  spec.pad_token_id = given ? first(token_ids(config, "pad_token_id", spec.vocab_size)) : family.pad;
  if (spec.pad_token_id >= spec.vocab_size) spec.pad_token_id = -1;
}

}  // namespace

ModelSpec parse_config(std::string_view config_json, std::string_view generation_config_json,
                       const std::string& where) {
  const boost::json::object object = parse_json_object(config_json, where);
  const JsonFields config(object, where);
  const Family& family = family_of(config);
  refuse_unsupported(config);

  ModelSpec spec;
  spec.architecture = family.architecture;
  spec.model_type = family.model_type;
  parse_sizes(config, family, spec);
  parse_differences(config, family, spec);
  parse_windows(config, family, spec);
  spec.ropes = parse_ropes(config, family, spec);
  spec.dtype = parse_dtype(config);

  boost::json::object generation;
  const std::string generation_where = (std::filesystem::path(where).parent_path() / "generation_config.json").string();
  if (!generation_config_json.empty()) generation = parse_json_object(generation_config_json, generation_where);
  parse_tokens(config, JsonFields(generation, generation_where), family, spec);
  return spec;
}

}  // namespace cadre::model_folder
