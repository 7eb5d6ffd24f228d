#include "trainer/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "trainer/config/given.h"
#include "trainer/config/schema.h"
#include "trainer/config/suggest.h"
#include "trainer/config/yaml_scalar.h"

namespace cadre::config {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kLora =
    "base_model: m\n"
    "datasets:\n"
    "  - {path: a.jsonl, type: alpaca}\n"
    "output_dir: out\n"
    "learning_rate: 1e-4\n"
    "lora_r: 8\n"
    "lora_alpha: 16\n";
const std::string kFull =
    "base_model: m\n"
    "datasets: [{path: a.jsonl, type: chat_template}]\n"
    "output_dir: out\n"
    "learning_rate: 1e-5\n"
    "adapter: none\n";

Config config_of(const std::string& text, const std::vector<Override>& overrides = {}) {
  return load_text(text, "f", overrides).config;
}

std::string origin_of(const Resolved& resolved, const std::string& key) {
  for (const Resolved::Entry& entry : resolved.entries)
    if (entry.key == key) return entry.origin;
  return "no entry";
}

TEST(Load, PlainKeys) {
  const Config config = config_of(kLora + "use_rslora: True\nseed: 0x10\nlora_dropout: 5e-2\nbf16: true\n");
  EXPECT_EQ(config.base_model, "m");
  EXPECT_EQ(config.adapter, "lora");
  EXPECT_EQ(config.lora_r, 8);
  EXPECT_EQ(config.lora_alpha, 16);
  EXPECT_EQ(config.learning_rate, 1e-4);
  EXPECT_EQ(config.lora_dropout, 0.05);
  EXPECT_TRUE(config.use_rslora);
  EXPECT_EQ(config.seed, 16);
  EXPECT_EQ(config.bf16, "true");
  EXPECT_THAT(config.lora_target_modules, ElementsAre("all-linear"));
  EXPECT_FALSE(config.lora_target_is_list);
  ASSERT_EQ(config.datasets.size(), 1u);
  EXPECT_EQ(config.datasets[0].path, "a.jsonl");
  EXPECT_EQ(config.datasets[0].type, "alpaca");
}

// YAML 1.2: a leading zero is no octal number.
TEST(Load, LeadingZeroIsDecimal) {
  EXPECT_EQ(config_of(kLora + "seed: 010\n").seed, 10);
  EXPECT_EQ(config_of(kLora + "seed: 0o10\n").seed, 8);
  EXPECT_EQ(config_of(kLora + "seed: 9223372036854775807\n").seed, 9223372036854775807);
}

TEST(Load, EmptyValuesAreDefaults) {
  EXPECT_EQ(config_of(kLora + "seed:\nwarmup_ratio: ~\nwandb_project:\ndeepspeed: null\nfsdp: []\nlora_model_dir:\n"),
            config_of(kLora));
}

TEST(Load, NeutralValuesOfWhatIsNotBuilt) {
  EXPECT_EQ(config_of(kLora + "load_in_4bit: false\ntensor_parallel_size: 1\nfp16: false\nwandb_project: ''\n"
                              "rl:\ntrust_remote_code: false\nuse_wandb: False\nflash_attention: false\n"),
            config_of(kLora));
}

TEST(Load, Aliases) {
  const Resolved resolved = load_text(
      "model_name_or_path: m\n"
      "datasets: [{path: a, ds_type: json, type: completion, max_samples: 3}]\n"
      "output_dir: out\n"
      "lr: 1e-4\n"
      "finetuning_type: lora\n"
      "lora_rank: 8\n"
      "lora_alpha: 16\n"
      "lora_target: q_proj, v_proj\n"
      "per_device_train_batch_size: 2\n"
      "num_train_epochs: 3.0\n"
      "cutoff_len: 1024\n"
      "lr_scheduler_type: linear\n"
      "optim: adamw_torch\n"
      "peft_use_dora: true\n"
      "val_size: 0.1\n"
      "packing: true\n"
      "clip_grad_norm: 0.5\n"
      "rl: sft\n"
      "random_seed: 7\n",
      "f", {});
  const Config& config = resolved.config;
  EXPECT_EQ(config.base_model, "m");
  EXPECT_EQ(config.datasets[0].format, "json");
  EXPECT_EQ(config.datasets[0].limit, 3);
  EXPECT_EQ(config.learning_rate, 1e-4);
  EXPECT_EQ(config.lora_r, 8);
  EXPECT_THAT(config.lora_target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_TRUE(config.lora_target_is_list);
  EXPECT_EQ(config.micro_batch_size, 2);
  EXPECT_EQ(config.num_epochs, 3);
  EXPECT_EQ(config.sequence_len, 1024);
  EXPECT_EQ(config.lr_scheduler, "linear");
  EXPECT_TRUE(config.use_dora);
  EXPECT_EQ(config.val_set_size, 0.1);
  EXPECT_TRUE(config.sample_packing);
  EXPECT_EQ(config.max_grad_norm, 0.5);
  EXPECT_EQ(config.seed, 7);
  const auto times = [&](const std::string& text) {
    int count = 0;
    for (const std::string& note : resolved.notes) count += note == text;
    return count;
  };
  EXPECT_EQ(times("`lora_rank` (f:6:1) is read as `lora_r`"), 1);
  EXPECT_EQ(times("`rl` (f:18:1) is read as `stage`"), 1);
  EXPECT_EQ(times("`finetuning_type: lora` (f:5:1) is read as `adapter: lora`"), 1);
  EXPECT_EQ(times("`datasets.0.ds_type` (f:2:22) is read as `datasets.0.format`"), 1);
}

TEST(Load, EveryAliasStandsForItsKey) {
  for (const Schema* schema : {&run_schema(), &dataset_schema()})
    for (const Key& key : schema->keys)
      for (const std::string_view alias : key.aliases) EXPECT_EQ(key_of(*schema, alias), &key) << alias;
  EXPECT_EQ(config_of(kLora + "lora_rank: 8\nlr: 0.0001\n"), config_of(kLora));
}

TEST(Load, NamesAreUnique) {
  for (const Schema* schema : {&run_schema(), &dataset_schema()}) {
    std::vector<std::string_view> names = schema->names();
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end())
        << *std::adjacent_find(names.begin(), names.end());
  }
}

TEST(Load, ValuesSpelledAsElsewhere) {
  const std::string no_adapter = kFull.substr(0, kFull.find("adapter"));
  EXPECT_EQ(config_of(no_adapter + "finetuning_type: full\n"), config_of(kFull));
  EXPECT_EQ(config_of(no_adapter + "adapter:\n"), config_of(kFull));
  EXPECT_EQ(config_of(kLora + "adapter: dora\n"), config_of(kLora + "use_dora: true\n"));
  EXPECT_EQ(config_of(kLora + "lora_target: all\n"), config_of(kLora));
  EXPECT_EQ(config_of(kLora + "lora_target_linear: true\n"), config_of(kLora));
  EXPECT_EQ(config_of(kLora + "lora_target_modules: All-Linear\n"), config_of(kLora));
  EXPECT_EQ(config_of(kLora + "lr_scheduler: constant_with_warmup\n").lr_scheduler, "constant");
  EXPECT_EQ(config_of(kLora + "resume_from_checkpoint: true\n").resume_from_checkpoint, "auto");
  EXPECT_EQ(config_of(kLora + "sdp_attention: true\n").attn_implementation, "sdpa");
  EXPECT_THAT(config_of(kLora + "use_tensorboard: true\n").report_to, ElementsAre("tensorboard"));
  EXPECT_THAT(config_of(kLora + "report_to: tensorboard\n").report_to, ElementsAre("tensorboard"));
  EXPECT_TRUE(config_of(kLora + "report_to: none\n").report_to.empty());
  EXPECT_EQ(config_of(kLora + "disable_gradient_checkpointing: true\n").gradient_checkpointing, false);
}

TEST(Load, SaysThatOneAttentionKernelServes) {
  for (const std::string name : {"eager", "sdpa"}) {
    EXPECT_THAT(load_text(kLora, "f", {{"attn_implementation", name}}).notes,
                Contains("attn_implementation: " + name + " and auto are one and the same kernel here"));
  }
  EXPECT_THAT(load_text(kLora + "attn_implementation: auto\n", "f", {}).notes, Not(Contains(HasSubstr("kernel"))));
}

TEST(Load, TakesTheRateOfAdaptedEmbeddingsThatSaysNothing) {
  EXPECT_EQ(config_of(kLora + "loraplus_lr_embedding: 1e-6\n"), config_of(kLora));
  EXPECT_EQ(config_of(kLora + "loraplus_lr_embedding:\n"), config_of(kLora));
}

TEST(Load, TargetsAsListOrExpression) {
  Config config = config_of(kLora + "lora_target_modules: [q_proj]\n");
  EXPECT_TRUE(config.lora_target_is_list);
  config = config_of(kLora + "lora_target_modules: .*\\.(q|v)_proj\n");
  EXPECT_FALSE(config.lora_target_is_list);
  EXPECT_THAT(config.lora_target_modules, ElementsAre(".*\\.(q|v)_proj"));
  EXPECT_THAT(config_of(kLora, {{"lora_target_modules", "[q_proj, k_proj]"}}).lora_target_modules,
              ElementsAre("q_proj", "k_proj"));
  for (const char* expression : {"[a-z.]*q_proj", "*q", "(.*\\.)?[qv]_proj: x"})
    EXPECT_THAT(config_of(kLora, {{"lora_target_modules", expression}}).lora_target_modules, ElementsAre(expression));
}

TEST(Load, AnAdapterToGoOnFromBringsItsRank) {
  const std::string text = kLora.substr(0, kLora.find("lora_r"));
  const Resolved resolved = load_text(text + "lora_model_dir: old\n", "f", {});
  EXPECT_EQ(resolved.config.lora_r, 0);
  EXPECT_TRUE(resolved.config.lora_target_modules.empty());
  EXPECT_THAT(resolved.notes, Contains("LoRA rank and alpha come from lora_model_dir old"));
}

TEST(Overrides, WinOverTheFile) {
  EXPECT_EQ(config_of(kLora, {{"learning_rate", "1e-3"}}).learning_rate, 1e-3);
  EXPECT_EQ(config_of(kLora, {{"learning-rate", "1e-3"}}).learning_rate, 1e-3);
  EXPECT_EQ(config_of(kLora, {{"--learning-rate", "1e-3"}}).learning_rate, 1e-3);
  EXPECT_EQ(config_of(kLora, {{"lr", "1e-3"}}).learning_rate, 1e-3);
  EXPECT_EQ(config_of(kLora, {{"lr", "1"}, {"lr", "2"}}).learning_rate, 2);
  EXPECT_EQ(config_of(kLora + "seed: 1\n", {{"seed", "null"}}).seed, 42);
  EXPECT_EQ(config_of(kLora + "warmup_ratio: 0.1\n", {{"warmup_steps", "4"}}).warmup_ratio, std::nullopt);
  EXPECT_EQ(config_of(kLora + "global_batch_size: 16\n", {{"gradient_accumulation_steps", "4"}}).global_batch_size, 4);
  EXPECT_TRUE(config_of(kLora + "val_set_size: 3\n", {{"test_datasets", "[{path: b, type: alpaca}]"}}).val_set_size ==
              0);
  const Config full = config_of(kLora, {{"adapter", "none"}, {"lora_r", "null"}, {"lora_alpha", "null"}});
  EXPECT_EQ(full.adapter, "none");
}

TEST(Overrides, TextIsTakenAsItStands) {
  for (const char* text : {"2024", "true", "a: b", "[x", "# no comment", "yes", "*", "a\tb", " a "})
    EXPECT_EQ(config_of(kLora, {{"output_dir", text}}).output_dir, text);
  EXPECT_EQ(config_of(kLora, {{"output_dir", "\"a\\nb\""}}).output_dir, "a\nb");
  EXPECT_EQ(config_of(kLora, {{"chat_template", "{{ messages }}"}}).chat_template, "{{ messages }}");
}

TEST(Overrides, OfDatasets) {
  EXPECT_EQ(config_of(kLora, {{"datasets.0.path", "b"}}).datasets[0].path, "b");
  EXPECT_EQ(config_of(kLora, {{"datasets.0.field-input", "b"}}).datasets[0].field_input, "b");
  EXPECT_EQ(config_of(kLora, {{"datasets.0.ds_type", "csv"}}).datasets[0].format, "csv");
  const Config two = config_of(kLora, {{"datasets.1.path", "b"}, {"datasets.1.type", "completion"}});
  ASSERT_EQ(two.datasets.size(), 2u);
  EXPECT_EQ(two.datasets[1].type, "completion");
  const Config replaced = config_of(kLora, {{"datasets.0.limit", "5"}, {"datasets", "[{path: c, type: alpaca}]"}});
  EXPECT_EQ(replaced.datasets[0].path, "c");
  EXPECT_EQ(replaced.datasets[0].limit, 5);
  const std::string none = kLora.substr(0, kLora.find("datasets")) + kLora.substr(kLora.find("output_dir"));
  EXPECT_EQ(config_of(none, {{"datasets.0", "{path: d, type: alpaca}"}}).datasets[0].path, "d");
}

TEST(Batch, WhatAStepHolds) {
  EXPECT_EQ(config_of(kLora + "micro_batch_size: 2\n").global_batch_size, 2);
  Resolved resolved =
      load_text(kLora + "micro_batch_size: 2\ngradient_accumulation_steps: 4\nsequence_len: 100\n", "f", {});
  EXPECT_EQ(resolved.config.global_batch_size, 8);
  EXPECT_THAT(resolved.notes, Contains("micro 2 x accum 4 x ranks 1 = 8 sequences per step (at most 800 tokens)"));
  EXPECT_EQ(origin_of(resolved, "global_batch_size"), "gradient_accumulation_steps × micro_batch_size");
  resolved = load_text(kLora + "micro_batch_size: 2\ngradient_accumulation_steps: 4\n", "f", {}, 3);
  EXPECT_EQ(resolved.config.global_batch_size, 24);
  EXPECT_EQ(origin_of(resolved, "global_batch_size"), "gradient_accumulation_steps × micro_batch_size × 3 ranks");
  EXPECT_THAT(resolved.notes, Contains(HasSubstr("for the life of the run")));
  EXPECT_EQ(config_of(describe(resolved), {{"gradient_accumulation_steps", "null"}}).global_batch_size, 24);
  resolved = load_text(kLora + "micro_batch_size: 4\nglobal_batch_size: 10\nsequence_len: 10\n", "f", {});
  EXPECT_THAT(resolved.notes, Contains("10 sequences per step in 3 micro-batches of at most 4 (at most 100 tokens)"));
  EXPECT_NO_THROW(config_of(kLora + "gradient_accumulation_steps: 4\nglobal_batch_size: 4\n"));
}

TEST(Notes, SayTheScaling) {
  EXPECT_THAT(load_text(kLora, "f", {}).notes, Contains("LoRA scaling: lora_alpha / lora_r = 16 / 8 = 2"));
  EXPECT_THAT(load_text(kLora, "f", {{"use_rslora", "true"}, {"lora_r", "16"}}).notes,
              Contains("LoRA scaling: lora_alpha / sqrt(lora_r) = 16 / sqrt(16) = 4"));
}

TEST(Describe, SaysWhereEachValueCameFrom) {
  const Resolved resolved = load_text(kLora, "runs/a.yaml", {{"seed", "3"}});
  EXPECT_EQ(origin_of(resolved, "lora_r"), "runs/a.yaml:6:1");
  EXPECT_EQ(origin_of(resolved, "seed"), "command line");
  EXPECT_EQ(origin_of(resolved, "threads"), "default");
  EXPECT_EQ(origin_of(resolved, "datasets.0.path"), "runs/a.yaml:3:6");
  const std::string text = describe(resolved);
  EXPECT_THAT(text, HasSubstr("\nlora_r: 8 "));
  EXPECT_THAT(text, HasSubstr("# runs/a.yaml:6:1\n"));
  EXPECT_THAT(text, HasSubstr("datasets:\n  - path: a.jsonl "));
  EXPECT_EQ(resolved.entries.size(), run_schema().keys.size() + 1) << "two fields of the one dataset";
}

TEST(Describe, ReadsBackAsTheSame) {
  const std::vector<std::string> texts = {
      kLora,
      kFull,
      kLora + "micro_batch_size: 2\ngradient_accumulation_steps: 4\nwarmup_ratio: 0.03\nuse_dora: true\n",
      kLora + "chat_template: |\n  {% for m in messages %}\n  \t{{ m['content'] }} # \"é\" \\n\n  {% endfor %}\n",
      kLora + "lora_target_modules: .*\\.(q|v)_proj\nlora_modules_to_save: [lm_head, 'a, b', 'true']\n",
      kLora + "lora_target_modules: [q_proj, '1']\nloraplus_lr_ratio: 16\nreport_to: [tensorboard]\nseed: 5\n",
      kLora +
          "test_datasets:\n- {path: b, type: input_output, field_segments: 's: #1', limit: 3}\n"
          "- {path: ' c ', type: chat_template, chat_template: ''}\nevals_per_epoch: 0.3\n",
      kFull + "optimizer: sgd\nsgd_momentum: 0.9\nval_set_size: 0.1\neval_steps: 3\nearly_stopping_patience: 2\n",
      kFull + "learning_rate: 1\nadam_epsilon: 1.2345678901234567e-300\n",
  };
  for (std::string text : texts) {
    if (text.find("learning_rate: 1\n") != std::string::npos) text.erase(text.find("learning_rate: 1e-5\n"), 20);
    const Resolved first = load_text(text, "f", {});
    const Resolved second = load_text(describe(first), "g", {});
    EXPECT_EQ(first.config, second.config) << describe(first);
    EXPECT_EQ(load_text(describe(second), "g", {}).config, first.config);
  }
}

// The same for texts of any characters and numbers of any size.
TEST(Describe, ReadsBackAnyTextAndNumber) {
  std::mt19937_64 random(7);
  const std::vector<std::string> pieces = {"a",
                                           "'",
                                           "\"",
                                           "\\",
                                           "\n",
                                           "\t",
                                           "\r",
                                           " ",
                                           "#",
                                           ": ",
                                           "- ",
                                           "é",
                                           "\xE2\x80\xA8",
                                           "\xC2\x85",
                                           "\xF0\x9F\x98\x80",
                                           "{",
                                           "}",
                                           "[",
                                           "]",
                                           "&",
                                           "*",
                                           "!",
                                           "|",
                                           ">",
                                           "%",
                                           "@",
                                           "`",
                                           ",",
                                           "?",
                                           "0",
                                           "1e3",
                                           "true",
                                           "null",
                                           "~",
                                           ".",
                                           "/",
                                           "yes"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (std::size_t i = random() % 6; i-- > 0;) text += pieces[random() % pieces.size()];
    Resolved resolved = load_text(kLora, "f", {});
    const double rate = std::ldexp(static_cast<double>(random() >> 11), -static_cast<int>(random() % 200) - 53);
    const std::string expected = text;
    for (Resolved::Entry& entry : resolved.entries) {
      if (entry.key == "dataset_prepared_path") entry.value = write_text(text);
      if (entry.key == "weight_decay") entry.value = write_number(rate);
    }
    const Config config = config_of(describe(resolved));
    EXPECT_EQ(config.dataset_prepared_path, expected);
    EXPECT_EQ(config.weight_decay, rate);
  }
}

TEST(Describe, KeysForHelp) {
  const auto keys = describe_keys();
  EXPECT_EQ(keys.size(), run_schema().keys.size() + dataset_schema().keys.size());
  for (const KeyDescription& key : keys) {
    EXPECT_FALSE(key.type.empty()) << key.name;
    EXPECT_FALSE(key.doc.empty()) << key.name;
    EXPECT_FALSE(key.default_value.empty()) << key.name;
  }
  EXPECT_EQ(keys[0].name, "base_model");
}

TEST(Suggest, Distance) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abc"), 0u);
  EXPECT_EQ(edit_distance("abc", "acb"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(nearest("Learning-Rate", {"seed", "learning_rate"}), "learning_rate");
  EXPECT_EQ(nearest("completely_else", {"seed", "learning_rate"}), "");
}

TEST(Scalar, MeaningsOfYaml12) {
  using enum Meaning;
  const std::vector<std::pair<const char*, Meaning>> table = {
      {"", kNull},      {"~", kNull},     {"Null", kNull},    {"TRUE", kBoolean}, {"tRUE", kText},    {"yes", kText},
      {"12", kInteger}, {"-0", kInteger}, {"0x1F", kInteger}, {"0o17", kInteger}, {"0o18", kText},    {"0xG", kText},
      {"1.", kNumber},  {".5", kNumber},  {"1e5", kNumber},   {"+1E-5", kNumber}, {".", kText},       {"1e", kText},
      {"-", kText},     {"1_0", kText},   {"1:30", kText},    {".nan", kNumber},  {"-.inf", kNumber}, {"1.2.3", kText},
  };
  for (const auto& [text, meaning] : table) EXPECT_EQ(meaning_of(text), meaning) << text;
  EXPECT_EQ(integer_of("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(integer_of("0xFFFFFFFFFFFFFFFF"), std::nullopt);
  EXPECT_EQ(number_of("-.inf"), std::nullopt);
  EXPECT_EQ(number_of("0x10"), 16.0);
}

// The files that people start from.
TEST(ShippedConfigs, Load) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(CADRE_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    try {
      const Resolved resolved = load(entry.path(), {});
      EXPECT_EQ(load_text(describe(resolved), "again", {}).config, resolved.config) << entry.path();
      for (const std::string& note : resolved.notes) EXPECT_EQ(note.find("is read as"), std::string::npos) << note;
    } catch (const runtime::UserError& error) {
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_GE(files, 6);
}

}  // namespace
}  // namespace cadre::config
