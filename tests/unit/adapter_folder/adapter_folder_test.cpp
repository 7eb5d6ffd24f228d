#include "trainer/adapter_folder/adapter_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "runtime/error.h"
#include "tests/unit/runtime/test_folder.h"
#include "trainer/model_folder/folder.h"
#include "trainer/safetensors/writer.h"

namespace cadre::adapter_folder {
namespace {

using runtime::put;
using runtime::TestFolder;
using safetensors::Dtype;
using safetensors::PlannedTensor;
using testing::HasSubstr;

TEST(AdapterConfig, ReadsWhatPeftWrites) {
  const AdapterConfig config = parse_adapter_config(R"({
    "alora_invocation_tokens": null, "alpha_pattern": {"q_proj": 3.5}, "arrow_config": null, "auto_mapping": null,
    "base_model_name_or_path": "some/base", "bias": "none", "ensure_weight_tying": true, "exclude_modules": "x.*",
    "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": "gaussian", "layer_replication": null,
    "layers_pattern": "layers", "layers_to_transform": 3, "loftq_config": {}, "lora_alpha": 22.5, "lora_bias": false,
    "lora_dropout": 0.05, "megatron_config": null, "megatron_core": "megatron.core",
    "modules_to_save": ["embed_tokens", "model.embed_tokens"], "peft_type": "LORA", "peft_version": "0.21.2",
    "qalora_group_size": 16, "r": 16, "rank_pattern": {"q_proj": 4}, "revision": null,
    "target_modules": ["v_proj", "q_proj"], "target_parameters": null, "task_type": "CAUSAL_LM",
    "trainable_token_indices": null, "use_dora": true, "use_qalora": false, "use_rslora": true})",
                                                    "c");
  AdapterConfig expected;
  expected.r = 16;
  expected.lora_alpha = 22.5;
  expected.lora_dropout = 0.05;
  expected.target_modules = ModuleSelection::of_names({"v_proj", "q_proj"});
  expected.exclude_modules = ModuleSelection::of_pattern("x.*");
  expected.modules_to_save = {"embed_tokens"};
  expected.use_rslora = expected.use_dora = expected.ensure_weight_tying = true;
  expected.init_lora_weights = "gaussian";
  expected.rank_pattern = {{"q_proj", 4}};
  expected.alpha_pattern = {{"q_proj", 3.5}};
  expected.layers_to_transform = {3};
  expected.layers_pattern = {"layers"};
  expected.base_model_name_or_path = "some/base";
  EXPECT_EQ(config, expected);
}

TEST(AdapterConfig, WritesTheFieldsThatEveryReaderKnows) {
  AdapterConfig config;
  config.r = 16;
  config.lora_alpha = 32;
  config.base_model_name_or_path = "meta-llama/Llama-3.2-1B";
  config.target_modules = ModuleSelection::of_names({"v_proj", "q_proj"});
  const std::string text = R"({
  "alpha_pattern": {},
  "auto_mapping": null,
  "base_model_name_or_path": "meta-llama/Llama-3.2-1B",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "layers_pattern": null,
  "layers_to_transform": null,
  "lora_alpha": 32,
  "lora_dropout": 0.0,
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 16,
  "rank_pattern": {},
  "revision": null,
  "target_modules": [
    "q_proj",
    "v_proj"
  ],
  "task_type": "CAUSAL_LM",
  "use_dora": false,
  "use_rslora": false
})";
  EXPECT_EQ(print_adapter_config(config), text);
  EXPECT_EQ(print_adapter_config(parse_adapter_config(text, "c")), text);
}

TEST(AdapterConfig, RefusesWhatItCannotHonour) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({})", "peft_type: expected \"LORA\", the kind of adapter that is supported, found nothing"},
      {R"({"peft_type":"IA3"})", "found \"IA3\""},
      {"task_type\":\"SEQ_CLS", "task_type: expected \"CAUSAL_LM\", found \"SEQ_CLS\""},
      {"bias\":\"all", "bias: expected \"none\""},
      {R"("lora_bias":true)", "lora_bias: is not supported, found true"},
      {R"("fan_in_fan_out":true)", "fan_in_fan_out: is not supported"},
      {R"("layer_replication":[[0,4]])", "layer_replication: is not supported, found [[0,4]]"},
      {R"("target_parameters":["a"])", "target_parameters: is not supported"},
      {R"("trainable_token_indices":[1])", "trainable_token_indices: is not supported"},
      {R"("use_qalora":true)", "use_qalora: is not supported"},
      {R"("alora_invocation_tokens":[1])", "alora_invocation_tokens: is not supported"},
      {R"("megatron_config":{"a":1})", "megatron_config: is not supported"},
      {R"("something_new":1)", "something_new: is not supported, found 1"},
      {R"("init_lora_weights":"pissa_niter_4")",
       "init_lora_weights: expected true, false, gaussian, eva or orthogonal"},
      {R"("r":0)", "r: expected a whole number from 1 to 65536, found 0"},
      {R"("r":"8")", "found \"8\""},
      {R"("lora_alpha":-1)", "lora_alpha: expected a number from 0"},
      {R"("lora_dropout":2)", "lora_dropout: expected a number from 0 to 1, found 2"},
      {R"("target_modules":7)", "target_modules: expected a list of names or a regular expression, found 7"},
      {R"("target_modules":"")", "target_modules: expected a list of names or a regular expression, found \"\""},
      {R"("target_modules":[1])", "target_modules: expected a text in every place"},
      {R"("modules_to_save":["score"])", "modules_to_save: expected embed_tokens and lm_head, found \"score\""},
      {R"("rank_pattern":{"a":0})", "rank_pattern.a: expected a whole number from 1"},
      {R"("alpha_pattern":{"a":"x"})", "alpha_pattern.a: expected a number"},
      {R"("layers_to_transform":[-1])", "layers_to_transform: expected layer numbers"},
      {R"("layers_pattern":"layers")", "layers_pattern: needs layers_to_transform"},
      {R"("target_modules":"x","layers_to_transform":[1])", "cannot be used where target_modules is a regular"}};
  for (const auto& [text, why] : cases) {
    std::string json = text;
    if (json.front() != '{') json = R"({"peft_type":"LORA",)" + (json.front() == '"' ? json : "\"" + json + "\"") + "}";
    try {
      parse_adapter_config(json, "c");
      ADD_FAILURE() << "accepted: " << json;
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
      EXPECT_THAT(error.what(), testing::StartsWith("c: "));
    }
  }
}

model_folder::ModelSpec spec_of(bool tied) {
  return model_folder::parse_config(
      std::string(
          R"({"model_type":"llama","vocab_size":10,"hidden_size":8,"intermediate_size":6,"num_hidden_layers":1,)") +
          R"("num_attention_heads":2,"num_key_value_heads":1,"tie_word_embeddings":)" + (tied ? "true}" : "false}"),
      "", "c");
}

// A good adapter with DoRA on q_proj and a whole embedding, tied or not, that a test then spoils.
struct Adapter {
  explicit Adapter(bool tied = false) : spec(spec_of(tied)) {
    config.r = 2;
    config.use_dora = true;
    config.target_modules = ModuleSelection::of_names({"q_proj"});
    config.modules_to_save = {"embed_tokens"};
    config.ensure_weight_tying = tied;
    for (const auto& [name, shape] : expected_tensors(spec, config, resolve_targets(spec, config))) {
      tensors.push_back({name, Dtype::kF32, shape});
    }
  }
  void write(bool same_bytes = true) {
    put(folder / "adapter_config.json", print_adapter_config(config));
    std::vector<std::byte> buffer;
    char fill = 0;
    safetensors::write(folder / "adapter_model.safetensors", tensors, [&](const PlannedTensor& tensor) {
      buffer.assign(tensor.bytes(), static_cast<std::byte>(same_bytes ? 1 : ++fill));
      return std::span<const std::byte>(buffer);
    });
  }
  PlannedTensor& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& one) { return one.name == name; });
  }

  TestFolder folder;
  model_folder::ModelSpec spec;
  AdapterConfig config;
  std::vector<PlannedTensor> tensors;
};

TEST(AdapterFolder, OpensAWholeAdapter) {
  Adapter adapter;
  adapter.write();
  const AdapterFolder folder = AdapterFolder::open(adapter.folder.path(), adapter.spec);
  EXPECT_EQ(folder.config(), adapter.config);
  ASSERT_EQ(folder.targets().size(), 1u);
  const std::string module = "model.layers.0.self_attn.q_proj", prefix = "base_model.model." + module;
  EXPECT_EQ(folder.tensor(prefix + ".lora_A.weight").shape, (std::vector<std::int64_t>{2, 8}));
  EXPECT_EQ(folder.tensor(saved_a(module)).shape, (std::vector<std::int64_t>{2, 8}));
  EXPECT_EQ(folder.tensor(saved_b(module)).shape, (std::vector<std::int64_t>{8, 2}));
  EXPECT_EQ(folder.tensor(prefix + ".lora_magnitude_vector").shape, (std::vector<std::int64_t>{8}));
  EXPECT_EQ(folder.tensor("base_model.model.model.embed_tokens.weight").shape, (std::vector<std::int64_t>{10, 8}));
  EXPECT_THROW(folder.tensor(saved_whole("lm_head")), std::logic_error);
  EXPECT_EQ(folder.sha256().size(), 64u);
}

TEST(AdapterFolder, TiedEmbeddingsLieUnderBothNames) {
  Adapter adapter(true);
  adapter.write();
  const AdapterFolder folder = AdapterFolder::open(adapter.folder.path(), adapter.spec);
  EXPECT_EQ(folder.tensor(saved_whole("lm_head")).shape, (std::vector<std::int64_t>{10, 8}));
}

TEST(AdapterFolder, RefusesBadFolders) {
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.";
  struct Case {
    std::function<void(Adapter&)> spoil;
    std::string why;
  };
  const auto change = [](const std::function<void(Adapter&)>& action) {
    return [action](Adapter& adapter) {
      action(adapter);
      adapter.write();
    };
  };
  const std::vector<Case> cases{
      {[](Adapter& a) { std::filesystem::remove(a.folder / "adapter_config.json"); }, "expected an adapter folder"},
      {[](Adapter& a) { std::filesystem::rename(a.folder / "adapter_config.json", a.folder / "config.json"); },
       "with adapter_config.json, found a model folder"},
      {[](Adapter& a) { put(a.folder / "adapter_config.json", "{"); }, "adapter_config.json:1:2: not valid JSON"},
      {[](Adapter& a) { std::filesystem::remove(a.folder / "adapter_model.safetensors"); },
       "adapter_model.safetensors: cannot be read"},
      {[](Adapter& a) {
         std::filesystem::rename(a.folder / "adapter_model.safetensors", a.folder / "adapter_model.bin");
       },
       "found adapter_model.bin; save it as safetensors with PEFT"},
      {[](Adapter& a) { put(a.folder / "adapter_model.safetensors", "12345678"); }, "byte 0: the header claims"},
      {change([](Adapter& a) { a.tensors.pop_back(); }), "is missing, though adapter_config.json asks for it"},
      {change([&](Adapter& a) {
         a.tensor(q + "lora_A.weight").shape = {3, 8};
       }),
       "expected the shape [2, 8], found [3, 8]; the adapter is of another base"},
      {change([&](Adapter& a) { a.tensor(q + "lora_A.weight").dtype = Dtype::kI32; }),
       "expected F32, BF16 or F16, found I32"},
      {change([&](Adapter& a) {
         a.tensors.push_back({q + "lora_B.bias", Dtype::kF32, {8}});
       }),
       "lora_B.bias\": adapter_config.json has no place for it"},
      {change([](Adapter& a) { a.config.use_dora = false; }),
       "lora_magnitude_vector\": adapter_config.json has no place"},
      {change([](Adapter& a) { a.config.target_modules.names = {"qq_proj"}; }),
       "adapter_config.json: target_modules: \"qq_proj\" names no module"},
      {change([](Adapter& a) { a.spec.tie_word_embeddings = true; }),
       "is supported with ensure_weight_tying: true only"}};
  for (const Case& one : cases) {
    Adapter adapter;
    adapter.write();
    one.spoil(adapter);
    try {
      AdapterFolder::open(adapter.folder.path(), adapter.spec);
      ADD_FAILURE() << "accepted; expected: " << one.why;
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.why));
    }
  }
  Adapter untied(true);
  untied.write(false);
  EXPECT_THROW(AdapterFolder::open(untied.folder.path(), untied.spec), runtime::UserError);
}

}  // namespace
}  // namespace cadre::adapter_folder
