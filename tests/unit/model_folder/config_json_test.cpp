#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "trainer/model_folder/folder.h"

namespace cadre::model_folder {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelSpec parse_text(const std::string& config, const std::string& generation = "") {
  return parse_config(config, generation, "m/config.json");
}

// The fields that every small test model shares, and more.
std::string config_of(const std::string& architecture, const std::string& more) {
  return R"({"architectures":[")" + architecture +
         R"("],"vocab_size":100,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":4,)"
         R"("num_attention_heads":4,"num_key_value_heads":2)" +
         (more.empty() ? "" : ",") + more + "}";
}

std::vector<std::int64_t> windows(const ModelSpec& spec) {
  std::vector<std::int64_t> result;
  for (const LayerSpec& layer : spec.layers) result.push_back(layer.sliding_window);
  return result;
}

TEST(ConfigJson, Llama4x) {
  const ModelSpec spec = parse_text(R"({
    "architectures": ["LlamaForCausalLM"], "attention_bias": true, "attention_dropout": 0.0, "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009], "head_dim": 16, "hidden_act": "silu", "hidden_size": 64,
    "initializer_range": 0.02, "intermediate_size": 96, "max_position_embeddings": 131072, "mlp_bias": true,
    "model_type": "llama", "num_attention_heads": 8, "num_hidden_layers": 2, "num_key_value_heads": 2,
    "pretraining_tp": 1, "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                     "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
    "transformers_version": "4.45.0.dev0", "use_cache": true, "vocab_size": 128256})");
  EXPECT_EQ(spec.architecture, "LlamaForCausalLM");
  EXPECT_EQ(spec.model_type, "llama");
  EXPECT_EQ(spec.vocab_size, 128256);
  EXPECT_EQ(spec.hidden_size, 64);
  EXPECT_EQ(spec.intermediate_size, 96);
  EXPECT_EQ(spec.num_attention_heads, 8);
  EXPECT_EQ(spec.num_key_value_heads, 2);
  EXPECT_EQ(spec.head_dim, 16);
  EXPECT_EQ(spec.max_position_embeddings, 131072);
  EXPECT_EQ(spec.rms_norm_eps, 1e-5);
  EXPECT_TRUE(spec.tie_word_embeddings && spec.qkv_bias && spec.o_bias && spec.mlp_bias);
  EXPECT_FALSE(spec.qk_norm || spec.post_norms || spec.fused_projections || spec.scale_embedding);
  EXPECT_EQ(spec.attention_scale, 0.25);
  EXPECT_EQ(spec.dtype, "bfloat16");
  EXPECT_EQ(spec.bos_token_id, 128000);
  EXPECT_THAT(spec.eos_token_ids, ElementsAre(128001, 128008, 128009));
  EXPECT_EQ(spec.pad_token_id, -1);
  EXPECT_THAT(windows(spec), ElementsAre(0, 0));
  RopeSpec rope;
  rope.kind = RopeKind::kLlama3;
  rope.theta = 500000;
  rope.rotary_dim = 16;
  rope.factor = 32;
  rope.max_position_embeddings = 131072;
  rope.original_max_position_embeddings = 8192;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  EXPECT_THAT(spec.ropes, ElementsAre(rope));
}

TEST(ConfigJson, BothSpellingsMeanTheSame) {
  const std::vector<std::pair<std::string, std::string>> pairs{
      {R"("rope_theta":5e5,"torch_dtype":"float16")",
       R"("rope_parameters":{"rope_type":"default","rope_theta":500000.0},"dtype":"float16")"},
      {R"("rope_theta":7.0,"rope_scaling":{"type":"linear","factor":2})",
       R"("rope_parameters":{"rope_type":"linear","rope_theta":7.0,"factor":2.0})"},
      {R"("rope_scaling":{"type":"dynamic","factor":4.0})",
       R"("rope_parameters":{"rope_type":"dynamic","factor":4.0})"},
      {R"("rope_scaling":null,"rope_theta":9)", R"("rope_scaling":{},"rope_theta":9)"},
      {R"("rope_scaling":{"type":"x","rope_type":"yarn","factor":4.0,"original_max_position_embeddings":512})",
       R"("original_max_position_embeddings":512,"rope_parameters":{"rope_type":"yarn","factor":4.0,"beta_fast":32})"}};
  for (const auto& [old_one, new_one] : pairs) {
    const ModelSpec a = parse_text(config_of("LlamaForCausalLM", old_one));
    const ModelSpec b = parse_text(config_of("LlamaForCausalLM", new_one));
    EXPECT_EQ(a.ropes, b.ropes) << old_one;
    EXPECT_EQ(a.dtype, b.dtype);
  }
}

TEST(ConfigJson, AbsentAndNullFields) {
  const ModelSpec absent = parse_text(R"({"model_type":"llama","hidden_size":64,"num_attention_heads":4})");
  EXPECT_EQ(absent.architecture, "LlamaForCausalLM");
  EXPECT_EQ(absent.num_key_value_heads, 4);
  EXPECT_EQ(absent.head_dim, 16);
  EXPECT_EQ(absent.layers.size(), 32u);
  EXPECT_EQ(absent.max_position_embeddings, 2048);
  EXPECT_EQ(absent.dtype, "float32");
  EXPECT_EQ(absent.ropes[0].theta, 10000.0);
  EXPECT_EQ(absent.bos_token_id, 1);
  EXPECT_THAT(absent.eos_token_ids, ElementsAre(2));

  const ModelSpec null = parse_text(config_of(
      "MistralForCausalLM", R"("head_dim":null,"sliding_window":null,"eos_token_id":null,"bos_token_id":-1)"));
  EXPECT_EQ(null.head_dim, 8);
  EXPECT_THAT(windows(null), ElementsAre(0, 0, 0, 0));
  EXPECT_TRUE(null.eos_token_ids.empty());
  EXPECT_EQ(null.bos_token_id, -1);
}

TEST(ConfigJson, MistralSlidesInEveryLayer) {
  EXPECT_THAT(windows(parse_text(config_of("MistralForCausalLM", ""))), ElementsAre(4096, 4096, 4096, 4096));
  const ModelSpec spec = parse_text(config_of("MistralForCausalLM", R"("sliding_window":7,"head_dim":10)"));
  EXPECT_THAT(windows(spec), ElementsAre(7, 7, 7, 7));
  EXPECT_EQ(spec.head_dim, 10);
  EXPECT_FALSE(spec.qkv_bias);
}

TEST(ConfigJson, Qwen2) {
  const ModelSpec plain = parse_text(config_of("Qwen2ForCausalLM", R"("sliding_window":9,"max_window_layers":2)"));
  EXPECT_TRUE(plain.qkv_bias);
  EXPECT_FALSE(plain.o_bias);
  EXPECT_THAT(windows(plain), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(windows(parse_text(config_of("Qwen2ForCausalLM",
                                           R"("use_sliding_window":true,"sliding_window":9,"max_window_layers":3)"))),
              ElementsAre(0, 0, 0, 9));
  EXPECT_THAT(windows(parse_text(config_of("Qwen2ForCausalLM",
                                           R"("use_sliding_window":true,"sliding_window":9,"layer_types":
                                      ["sliding_attention","full_attention","sliding_attention","full_attention"])"))),
              ElementsAre(9, 0, 9, 0));
}

TEST(ConfigJson, Qwen3) {
  const ModelSpec spec = parse_text(config_of("Qwen3ForCausalLM", R"("rope_theta":1000000,"attention_bias":false)"));
  EXPECT_TRUE(spec.qk_norm);
  EXPECT_FALSE(spec.qkv_bias);
  EXPECT_EQ(spec.head_dim, 128);
  EXPECT_EQ(spec.attention_scale, 1 / std::sqrt(128.0));
}

TEST(ConfigJson, Gemma2) {
  const ModelSpec spec = parse_text(config_of(
      "Gemma2ForCausalLM", R"("head_dim":8,"query_pre_attn_scalar":144,"sliding_window":5,"hidden_act":"ignored")"));
  EXPECT_EQ(spec.activation, Activation::kGeluTanh);
  EXPECT_EQ(spec.norm_weight, NormWeight::kOnePlus);
  EXPECT_TRUE(spec.post_norms && spec.scale_embedding && spec.tie_word_embeddings);
  EXPECT_FALSE(spec.qk_norm);
  EXPECT_EQ(spec.attention_scale, 1.0 / 12);
  EXPECT_EQ(spec.attention_softcap, 50);
  EXPECT_EQ(spec.final_softcap, 30);
  EXPECT_THAT(windows(spec), ElementsAre(5, 0, 5, 0));
  EXPECT_EQ(spec.ropes.size(), 1u);
  EXPECT_EQ(spec.pad_token_id, 0);
}

TEST(ConfigJson, Gemma3InThreeSpellings) {
  const std::string sizes = R"("head_dim":8,"sliding_window":5,"sliding_window_pattern":3)";
  const ModelSpec spec = parse_text(config_of("Gemma3ForCausalLM", sizes));
  EXPECT_TRUE(spec.qk_norm && spec.post_norms && spec.tie_word_embeddings);
  EXPECT_EQ(spec.attention_softcap, 0);
  EXPECT_EQ(spec.final_softcap, 0);
  EXPECT_THAT(windows(spec), ElementsAre(5, 5, 0, 5));
  ASSERT_EQ(spec.ropes.size(), 2u);
  EXPECT_EQ(spec.ropes[static_cast<std::size_t>(spec.layers[2].rope)].theta, 1e6);
  EXPECT_EQ(spec.ropes[static_cast<std::size_t>(spec.layers[0].rope)].theta, 1e4);

  const std::string old_one =
      R"(,"rope_theta":3e5,"rope_local_base_freq":7e3,"rope_scaling":{"rope_type":"linear","factor":8.0})";
  const std::string new_one =
      R"(,"rope_parameters":{"full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":300000.0},
                                  "sliding_attention":{"rope_type":"default","rope_theta":7000.0}})";
  const ModelSpec a = parse_text(config_of("Gemma3ForCausalLM", sizes + old_one));
  const ModelSpec b = parse_text(config_of("Gemma3ForCausalLM", sizes + new_one));
  EXPECT_EQ(a.ropes, b.ropes);
  EXPECT_EQ(a.ropes[0].kind, RopeKind::kLinear);
  EXPECT_EQ(a.ropes[0].factor, 8);
  EXPECT_EQ(a.ropes[1].kind, RopeKind::kDefault);
  EXPECT_EQ(a.ropes[1].theta, 7000);
}

TEST(ConfigJson, Phi3) {
  const std::string factors = R"("short_factor":[1,1.5],"long_factor":[2,3])";
  for (const char* type : {"su", "longrope", "yarn"}) {
    const ModelSpec spec = parse_text(
        config_of("Phi3ForCausalLM",
                  R"("max_position_embeddings":4096,"original_max_position_embeddings":1024,"partial_rotary_factor":0.5,
        "resid_pdrop":0.0,"embd_pdrop":0,"rope_scaling":{"type":")" +
                      std::string(type) + "\"," + factors + "}"));
    EXPECT_TRUE(spec.fused_projections);
    EXPECT_EQ(spec.rms_norm_eps, 1e-5);
    RopeSpec rope;
    rope.kind = RopeKind::kLongrope;
    rope.rotary_dim = 4;
    rope.factor = 4;
    rope.max_position_embeddings = 4096;
    rope.original_max_position_embeddings = 1024;
    rope.short_factor = {1, 1.5};
    rope.long_factor = {2, 3};
    EXPECT_THAT(spec.ropes, ElementsAre(rope));
    EXPECT_THAT(windows(spec), ElementsAre(0, 0, 0, 0));
    EXPECT_TRUE(spec.eos_token_ids.empty());  // 32000 is not in this vocabulary
  }
  // The folder's own original length defaults to 4096, whatever rope_scaling says.
  const ModelSpec spec = parse_text(config_of("Phi3ForCausalLM", R"("max_position_embeddings":8192,"rope_scaling":
      {"type":"longrope","original_max_position_embeddings":7,"short_factor":[1,1,1,1],"long_factor":[1,1,1,1]})"));
  EXPECT_EQ(spec.ropes[0].original_max_position_embeddings, 4096);
  EXPECT_EQ(spec.ropes[0].factor, 2);
}

TEST(ConfigJson, YarnAndDynamic) {
  const RopeSpec yarn = parse_text(config_of("Qwen3ForCausalLM", R"("max_position_embeddings":4096,"rope_scaling":
      {"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":1024,"beta_fast":16,"beta_slow":0,"mscale":0.7,
       "mscale_all_dim":0.5,"truncate":false,"attention_factor":1.25})"))
                            .ropes[0];
  EXPECT_EQ(yarn.kind, RopeKind::kYarn);
  EXPECT_EQ(yarn.beta_fast, 16);
  EXPECT_EQ(yarn.beta_slow, 1);
  EXPECT_EQ(yarn.mscale, 0.7);
  EXPECT_EQ(yarn.mscale_all_dim, 0.5);
  EXPECT_EQ(yarn.attention_factor, 1.25);
  EXPECT_FALSE(yarn.truncate);
  EXPECT_EQ(yarn.original_max_position_embeddings, 1024);
  const RopeSpec dynamic =
      parse_text(config_of("LlamaForCausalLM", R"("rope_scaling":{"type":"dynamic","factor":2})")).ropes[0];
  EXPECT_EQ(dynamic.max_position_embeddings, 2048);
  EXPECT_EQ(dynamic.original_max_position_embeddings, 2048);
}

TEST(ConfigJson, GenerationConfigWins) {
  const ModelSpec spec = parse_text(config_of("LlamaForCausalLM", R"("eos_token_id":5,"pad_token_id":6)"),
                                    R"({"eos_token_id":[7,8,7],"bos_token_id":9,"pad_token_id":null})");
  EXPECT_THAT(spec.eos_token_ids, ElementsAre(7, 8));
  EXPECT_EQ(spec.bos_token_id, 9);
  EXPECT_EQ(spec.pad_token_id, 6);
}

TEST(ConfigJson, RefusesWhatItCannotHonour) {
  struct Case {
    std::string architecture, more, why;
  };
  const std::string llama = "LlamaForCausalLM", qwen = "Qwen2ForCausalLM";
  const std::vector<Case> cases{
      {"GPT2LMHeadModel", "", "architectures: \"GPT2LMHeadModel\" is not supported; known are LlamaForCausalLM"},
      {"Gemma3ForConditionalGeneration", "", "save the text model alone"},
      {"MixtralForCausalLM", "", "is not supported; known are"},
      {llama, R"("model_type":"mistral")", "model_type: expected llama beside LlamaForCausalLM, found \"mistral\""},
      {llama, R"("vocab_size":0)", "vocab_size: expected a whole number from 1 to 16777216, found 0"},
      {llama, R"("vocab_size":99999999)", "vocab_size: expected a whole number from 1"},
      {llama, R"("hidden_size":"32")", "hidden_size: expected a whole number from 1 to 1048576, found \"32\""},
      {llama, R"("hidden_size":32.5)", "found 32.5"},
      {llama, R"("hidden_size":-32)", "found -32"},
      {llama, R"("hidden_size":99999999999999999999)", "hidden_size: expected a whole number"},
      {llama, R"("hidden_size":33)", "hidden_size: expected a multiple of num_attention_heads (4), found 33"},
      {llama, R"("num_hidden_layers":1001)", "num_hidden_layers: expected a whole number from 1 to 1000, found 1001"},
      {llama, R"("num_key_value_heads":3)",
       "num_key_value_heads: expected a divisor of num_attention_heads (4), found 3"},
      {llama, R"("head_dim":7)", "head_dim: expected an even number, found 7"},
      {llama, R"("rms_norm_eps":-1)", "rms_norm_eps: expected a number from 0 to 1, found -1"},
      {llama, R"("attention_dropout":0.1)", "attention_dropout: expected 0"},
      {"Phi3ForCausalLM", R"("resid_pdrop":0.1)", "resid_pdrop: expected 0"},
      {"Phi3ForCausalLM", R"("embd_pdrop":0.1)", "embd_pdrop: expected 0"},
      {llama, R"("hidden_act":"relu2")",
       "hidden_act: expected one of silu, gelu, gelu_pytorch_tanh and gelu_new, found \"relu2\""},
      {"Gemma2ForCausalLM", R"("hidden_activation":"relu")", "hidden_activation: expected one of silu"},
      {llama, R"("quantization_config":{"bits":4})", "quantization_config: quantized weights are not supported"},
      {llama, R"("vision_config":{})", "vision_config: only models of text"},
      {llama, R"("num_local_experts":8)", "num_local_experts: mixtures of experts are not supported"},
      {"Gemma3ForCausalLM", R"("use_bidirectional_attention":true)", "use_bidirectional_attention: expected false"},
      {llama, R"("per_layer_config":{"0":{"head_dim":4}})", "per_layer_config: layers of different sizes"},
      {llama, R"("rope_scaling":{"type":"mrope","factor":2})", "rope_scaling.type: expected one of default, linear"},
      {llama, R"("rope_parameters":{"rope_type":"proportional"})",
       "rope_parameters.rope_type: expected one of default"},
      {llama, R"("rope_scaling":{"type":"linear"})", "rope_scaling.factor: expected a positive number, found nothing"},
      {llama, R"("rope_scaling":{"type":"linear","factor":0})", "rope_scaling.factor: expected a number"},
      {llama, R"("rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4})",
       "rope_scaling.high_freq_factor: expected a number above low_freq_factor (4), found 4"},
      {llama, R"("rope_scaling":{"type":"longrope","factor":8,"short_factor":[1,1,1,1],"long_factor":[1]})",
       "rope_scaling.long_factor: expected 4 numbers, half the rotary dimension, found 1"},
      {llama, R"("rope_scaling":{"type":"longrope","factor":8,"short_factor":[1,0,1,1],"long_factor":[1]})",
       "rope_scaling.short_factor: expected a number"},
      {llama, R"("rope_scaling":[])", "rope_scaling: expected an object, found []"},
      {llama, R"("rope_theta":0)", "rope_theta: expected a number"},
      {llama, R"("partial_rotary_factor":0.5)", "partial_rotary_factor: expected 1 for LlamaForCausalLM, found 0.5"},
      {"Phi3ForCausalLM", R"("partial_rotary_factor":0.4)",
       "partial_rotary_factor: expected an even number of rotating"},
      {"Phi3ForCausalLM", R"("partial_rotary_factor":1.5)", "partial_rotary_factor: expected a number of at most 1"},
      {"Phi3ForCausalLM", R"("rope_scaling":{"type":"linear","factor":2})", "expected default or longrope"},
      {"Gemma3ForCausalLM", R"("rope_parameters":{"rope_type":"default"})",
       "rope_parameters: expected full_attention and"},
      {llama, R"("rope_parameters":{"full_attention":{}})",
       "one dictionary a layer type is known for Gemma3ForCausalLM"},
      {qwen, R"("layer_types":["full_attention"])", "layer_types: expected 4 entries, one a layer, found 1"},
      {qwen, R"("layer_types":["full_attention","full_attention","full_attention","chunked_attention"])",
       "layer_types: expected full_attention or sliding_attention, found \"chunked_attention\""},
      {qwen, R"("layer_types":["full_attention","full_attention","full_attention","sliding_attention"])",
       "use_sliding_window: layer 3 has sliding attention, but there is no window"},
      {llama, R"("layer_types":["full_attention","full_attention","full_attention","sliding_attention"])",
       "layer_types: sliding_attention at layer 3 contradicts sliding_window"},
      {"Gemma2ForCausalLM", R"("sliding_window":null)", "sliding_window: layer 0 has sliding attention"},
      {"MistralForCausalLM", R"("sliding_window":0)", "sliding_window: expected a whole number"},
      {"Gemma3ForCausalLM", R"("sliding_window_pattern":0)", "sliding_window_pattern: expected a whole number"},
      {llama, R"("dtype":"float64")", "dtype: expected float32, bfloat16 or float16, found \"float64\""},
      {llama, R"("torch_dtype":7)", "torch_dtype: expected a text, found 7"},
      {llama, R"("eos_token_id":"</s>")", "eos_token_id: expected a token id or a list of them, found \"</s>\""},
      {llama, R"("tie_word_embeddings":"yes")", "tie_word_embeddings: expected true or false, found \"yes\""}};
  for (const Case& one : cases) {
    // A repeated key counts as its last value.
    try {
      parse_text(config_of(one.architecture, one.more));
      ADD_FAILURE() << "accepted: " << one.more;
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.why)) << one.more;
      EXPECT_THAT(error.what(), testing::StartsWith("m/config.json: "));
    }
  }
}

TEST(ConfigJson, RefusesWhatIsNoConfiguration) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "m/config.json:1:1: not valid JSON"},
      {"{\n  \"a\": nonsense}", "m/config.json:2:8: not valid JSON"},
      {"{} {}", "m/config.json:1:4: not valid JSON"},
      {"[]", "m/config.json: expected a JSON object, found []"},
      {"{}", "m/config.json: architectures: expected one of LlamaForCausalLM"},
      {R"({"architectures":"Llama"})", "architectures: expected a list of texts"},
      {R"({"architectures":[1]})", "expected a text in every place, found 1"},
      {R"({"model_type":"bert"})", "model_type: \"bert\" is not supported"},
      {std::string(10000, '['), "not valid JSON"},
      {"{\"a\":" + std::string(10000, '{'), "not valid JSON"}};
  for (const auto& [text, why] : cases) {
    try {
      parse_text(text);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(why)) << text.substr(0, 100);
    }
  }
  EXPECT_THROW(parse_text(config_of("LlamaForCausalLM", ""), "["), runtime::UserError);
}

}  // namespace
}  // namespace cadre::model_folder
