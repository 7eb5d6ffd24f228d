#include "trainer/adapter_folder/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "runtime/error.h"
#include "trainer/adapter_folder/python_regex.h"
#include "trainer/model_folder/folder.h"

namespace cadre::adapter_folder {
namespace {

using testing::HasSubstr;
using Names = std::vector<std::string>;

model_folder::ModelSpec spec_of(const std::string& architecture, const std::string& more = "") {
  return model_folder::parse_config(
      R"({"architectures":[")" + architecture +
          R"("],"vocab_size":10,"hidden_size":8,"intermediate_size":6,"num_hidden_layers":12,"num_attention_heads":2,)"
          R"("num_key_value_heads":1,"head_dim":4)" +
          more + "}",
      "", "c");
}

AdapterConfig names(Names list) {
  AdapterConfig config;
  config.target_modules = ModuleSelection::of_names(std::move(list));
  return config;
}

AdapterConfig pattern(const std::string& text) {
  AdapterConfig config;
  config.target_modules = ModuleSelection::of_pattern(text);
  return config;
}

Names modules(const std::vector<Target>& targets) {
  Names result;
  for (const Target& target : targets) result.push_back(target.module);
  return result;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const runtime::UserError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Targets, ListEntriesAreNamesOrWhatFollowsADot) {
  const auto spec = spec_of("LlamaForCausalLM");
  EXPECT_EQ(resolve_targets(spec, names({"q_proj", "v_proj"})).size(), 24u);
  // Not layer 11, though its name ends in the same letters.
  EXPECT_EQ(modules(resolve_targets(spec, names({"1.mlp.up_proj"}))), Names{"model.layers.1.mlp.up_proj"});
  EXPECT_EQ(modules(resolve_targets(spec, names({"model.layers.3.self_attn.o_proj"}))),
            Names{"model.layers.3.self_attn.o_proj"});
}

TEST(Targets, ShapesRanksAndScalings) {
  const auto spec = spec_of("LlamaForCausalLM");
  AdapterConfig config = names({"k_proj", "down_proj"});
  config.r = 4;
  config.lora_alpha = 6;
  config.rank_pattern = {{"down_proj", 9}, {"5.mlp.down_proj", 2}};
  config.alpha_pattern = {{R"(layers\.1\..*)", 1.5}};
  auto targets = resolve_targets(spec, config);
  EXPECT_EQ(targets[0], (Target{"model.layers.0.self_attn.k_proj", 8, 4, 4, 6, 1.5}));
  EXPECT_EQ(targets[1], (Target{"model.layers.0.mlp.down_proj", 6, 8, 9, 6, 6.0 / 9}));
  EXPECT_EQ(targets[2], (Target{"model.layers.1.self_attn.k_proj", 8, 4, 4, 1.5, 0.375}));
  EXPECT_EQ(targets[11].r, 9);  // the first pattern wins
  config.use_rslora = true;
  targets = resolve_targets(spec, config);
  EXPECT_EQ(targets[0].scaling, 3);
  EXPECT_EQ(targets[1].scaling, 2);
}

TEST(Targets, AllLinearIsAllButTheHead) {
  EXPECT_EQ(resolve_targets(spec_of("LlamaForCausalLM"), pattern("all-linear")).size(), 12u * 7);
  EXPECT_EQ(resolve_targets(spec_of("Gemma3ForCausalLM"), pattern("All-Linear")).size(), 12u * 7);
  const auto phi3 = resolve_targets(spec_of("Phi3ForCausalLM"), pattern("all-linear"));
  ASSERT_EQ(phi3.size(), 12u * 4);
  EXPECT_EQ(phi3[0], (Target{"model.layers.0.self_attn.qkv_proj", 8, 16, 8, 8, 1}));
}

TEST(Targets, ExcludedAndFilteredByLayer) {
  const auto spec = spec_of("LlamaForCausalLM");
  AdapterConfig config = pattern("all-linear");
  config.exclude_modules = ModuleSelection::of_pattern(R"(.*\.mlp\..*)");
  EXPECT_EQ(resolve_targets(spec, config).size(), 12u * 4);
  config.exclude_modules = ModuleSelection::of_names({"q_proj", "0.self_attn.k_proj"});
  EXPECT_EQ(resolve_targets(spec, config).size(), 12u * 6 - 1);

  config = names({"q_proj"});
  config.layers_to_transform = {1, 11};
  const Names expected{"model.layers.1.self_attn.q_proj", "model.layers.11.self_attn.q_proj"};
  EXPECT_EQ(modules(resolve_targets(spec, config)), expected);
  config.layers_pattern = {"h", "layers"};
  EXPECT_EQ(modules(resolve_targets(spec, config)), expected);
  config.layers_pattern = {"h"};
  EXPECT_THAT(refusal([&] { resolve_targets(spec, config); }), HasSubstr("q_proj selects no module"));
}

TEST(Targets, DefaultIsThatOfPeft) {
  EXPECT_EQ(resolve_targets(spec_of("Qwen2ForCausalLM"), {}),
            resolve_targets(spec_of("Qwen2ForCausalLM"), names({"q_proj", "v_proj"})));
  EXPECT_THAT(refusal([] { resolve_targets(spec_of("Phi3ForCausalLM"), {}); }), HasSubstr("has no default"));
}

TEST(Targets, RefusesWhatPeftDropsOrCannotDo) {
  const auto llama = spec_of("LlamaForCausalLM"), phi3 = spec_of("Phi3ForCausalLM");
  AdapterConfig saved = names({"lm_head", "q_proj"});
  saved.modules_to_save = {"lm_head"};
  AdapterConfig layer = names({"q_proj"});
  layer.layers_to_transform = {12};
  AdapterConfig excluded = names({"q_proj"});
  excluded.exclude_modules = ModuleSelection::of_names({"self_attn.q_proj"});
  AdapterConfig rank = names({"q_proj"});
  rank.rank_pattern = {{"(", 3}};
  struct Case {
    model_folder::ModelSpec spec;
    AdapterConfig config;
    std::string why;
  };
  const std::vector<Case> cases{
      {phi3, names({"q_proj"}),
       "\"q_proj\" names no module of Phi3ForCausalLM; its linear layers are qkv_proj, o_proj"},
      {phi3, names({"down_proj", "q_proj"}), "\"q_proj\" names no module of Phi3ForCausalLM"},
      {llama, names({"q_porj"}), "did you mean q_proj?"},
      {llama, names({"proj"}), "\"proj\" names no module"},
      {llama, names({""}), "\"\" names no module"},
      {llama, names({}), "selects no module of LlamaForCausalLM"},
      {llama, pattern(".*nothing"), "the expression \".*nothing\" selects no module"},
      {llama, names({"lm_head"}), "selects lm_head, which can only be trained whole: name lm_head in modules_to_save"},
      {llama, names({"embed_tokens"}),
       "selects model.embed_tokens, which can only be trained whole: name embed_tokens"},
      {llama, names({"self_attn"}),
       "selects model.layers.0.self_attn, which is no linear layer; those that can be adapted are q_proj"},
      {llama, pattern(".*"), "\".*\" selects model, which is no linear layer"},
      {llama, saved, "\"lm_head\" is also in modules_to_save"},
      {llama, layer, "layers_to_transform: expected layers 0 to 11, found 12"},
      {llama, excluded, "selects no module"},
      {llama, rank, "adapter: rank_pattern: \"(.*\\.)?(()$\" is not a regular expression"},
      {llama, pattern("("), "adapter: target_modules: \"(\" is not a regular expression"},
      {llama, pattern("(a|aa|a*)*b|(.*.*.*.*.*.*.*.*)*x"), "takes too long"}};
  for (const Case& one : cases) {
    EXPECT_THAT(refusal([&] { resolve_targets(one.spec, one.config); }), HasSubstr(one.why));
  }
}

TEST(Targets, SavedListIsMinimalAndSelectsTheSame) {
  const auto spec = spec_of("LlamaForCausalLM");
  EXPECT_EQ(minimal_target_list(spec, resolve_targets(spec, pattern("all-linear"))),
            (Names{"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}));
  AdapterConfig some = pattern("all-linear");
  some.exclude_modules = ModuleSelection::of_pattern(R"((?!.*\.1\.).*(q|o)_proj|.*mlp.*|.*(k|v)_proj)");
  const auto targets = resolve_targets(spec, some);
  EXPECT_EQ(minimal_target_list(spec, targets),
            (Names{"model.layers.1.self_attn.o_proj", "model.layers.1.self_attn.q_proj"}));
  EXPECT_EQ(resolve_targets(spec, saved_config(spec, some, targets)), targets);
}

TEST(Targets, SavedPatternsMeanTheSameInSortedOrder) {
  const auto spec = spec_of("LlamaForCausalLM");
  AdapterConfig config = names({"q_proj", "o_proj"});
  config.rank_pattern = {{"q_proj", 3}, {".*", 5}};
  config.alpha_pattern = {{"nothing", 3}};
  const auto targets = resolve_targets(spec, config);
  const AdapterConfig saved = parse_adapter_config(print_adapter_config(saved_config(spec, config, targets)), "c");
  EXPECT_EQ(resolve_targets(spec, saved), targets);
  EXPECT_TRUE(saved.alpha_pattern.empty());
}

TEST(Targets, TiesAreDeclared) {
  AdapterConfig config = pattern("all-linear");
  config.modules_to_save = {"embed_tokens"};
  const auto tied = spec_of("LlamaForCausalLM", R"(,"tie_word_embeddings":true)"), untied = spec_of("LlamaForCausalLM");
  EXPECT_TRUE(saved_config(tied, config, resolve_targets(tied, config)).ensure_weight_tying);
  EXPECT_FALSE(saved_config(untied, config, resolve_targets(untied, config)).ensure_weight_tying);
}

TEST(PythonRegex, MatchesAsPythonDoes) {
  EXPECT_TRUE(PythonRegex("a|ab", "w").matches_all("ab"));
  EXPECT_FALSE(PythonRegex("a", "w").matches_all("ab"));
  EXPECT_FALSE(PythonRegex("b", "w").matches_all("ab"));
  EXPECT_EQ(PythonRegex("x(\\d+)", "w").first_group_at_start("x12y"), "12");
  EXPECT_EQ(PythonRegex("(x)?y", "w").first_group_at_start("yy"), "");
  EXPECT_EQ(PythonRegex("y", "w").first_group_at_start("xy"), std::nullopt);
  EXPECT_TRUE(PythonRegex("\\(*[]*(]\\*", "w").matches_all("((]*"));
}

TEST(PythonRegex, RefusesWhatPythonDoesNotKnow) {
  for (const char* text : {"(", "[", "*", "\\", "(*UCP)a", "a(*ACCEPT)", "(?R)", "(?1)", "(?C1)", "(?|a)", "(?&n)",
                           "\\Ka", "\\Qa\\E", "\\R", "\\h", "\\pL", "[[:alpha:]]", "(?P>n)"}) {
    EXPECT_THAT(refusal([&] { PythonRegex(text, "w"); }), HasSubstr("w: ")) << text;
  }
  EXPECT_THAT(refusal([&] { PythonRegex(std::string(1000, '(') + std::string(1000, ')'), "w"); }),
              HasSubstr("not a regular expression"));
}

}  // namespace
}  // namespace cadre::adapter_folder
