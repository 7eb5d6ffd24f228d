// What a configuration must not say: each case with the place and the words of its error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/error.h"
#include "trainer/config/load.h"

namespace cadre::config {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Nine lines: what a case adds starts at line 10.
const std::string kGood =
    "base_model: m\n"
    "datasets:\n"
    "  - path: a.jsonl\n"
    "    type: alpaca\n"
    "output_dir: out\n"
    "learning_rate: 1e-4\n"
    "adapter: lora\n"
    "lora_r: 8\n"
    "lora_alpha: 16\n";

// kGood without the lines that hold `gone`.
std::string without(const std::string& gone) {
  std::string out;
  for (std::size_t from = 0; from < kGood.size();) {
    const std::size_t end = kGood.find('\n', from) + 1;
    const std::string line = kGood.substr(from, end - from);
    if (line.find(gone) == std::string::npos) out += line;
    from = end;
  }
  return out;
}

std::string repeated(const std::string& unit, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += unit;
  return out;
}

std::string nine_laughs() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string now = std::to_string(i), last = "*a" + std::to_string(i - 1);
    text += "a" + now + ": &a" + now + " [" + last + repeated(", " + last, 8) + "]\n";
  }
  return text;
}

struct Bad {
  const char* name;
  std::string text;
  std::vector<Override> overrides;
  const char* start;    // of the message
  const char* message;  // in it
};

const std::vector<Bad>& bad_files() {
  static const std::vector<Bad> cases = {
      // The text.
      {"empty", "", {}, "f: ", "found an empty file"},
      {"only_comments", "# nothing\n\n", {}, "f: ", "found an empty file"},
      {"only_null", "~\n", {}, "f: ", "found an empty file"},
      {"a_list", "- a\n- b\n", {}, "f:1:1: ", "expected a map of keys, found a list"},
      {"a_word", "hello\n", {}, "f:1:1: ", "expected a map of keys, found the text `hello`"},
      {"two_documents", kGood + "---\na: 1\n", {}, "f:10:1: ", "found a second one"},
      {"not_utf8", kGood + "seed: \xE9\n", {}, "f:10:7: ", "not valid UTF-8"},
      {"utf16", std::string("a\0:\0", 4), {}, "f:1:2: ", "control character 0"},
      {"end_of_text_byte", kGood + "# \x04\nlora_rr: 1\n", {}, "f:10:3: ", "control character 4"},
      {"escaped_control", kGood + "chat_template: \"a\\0b\"\n", {}, "f:10:16: ", "control character 0"},
      {"too_large", "#" + std::string(5u << 20, ' '), {}, "f: ", "at most 4 MB"},
      {"tab", "base_model: m\ndatasets:\n\t- path: a\n", {}, "f:3:", "not valid YAML: "},
      {"unclosed_list", "lora_target_modules: [q_proj, v_proj\n", {}, "f:2:1: ", "not valid YAML: "},
      {"unclosed_quote", "base_model: \"m\n", {}, "f:", "not valid YAML: "},
      {"unclosed_quote_no_line_break", "base_model: 'm", {}, "f:", "not valid YAML: "},
      {"unclosed_quote_blanks", "base_model: \"m\n  ", {}, "f:", "not valid YAML: "},
      {"unclosed_list_no_line_break", "seed: [a", {}, "f:2:", "not valid YAML: "},
      {"colon_in_value", "base_model: a: b\n", {}, "f:1:14: ", "not valid YAML: "},
      {"undefined_alias", "base_model: *m\n", {}, "f:1:13: ", "not valid YAML: "},
      {"duplicate",
       kGood + "seed: 1\nlora_dropout: 0\nseed: 2\n",
       {},
       "f:12:1: ",
       "seed: the key stands there twice, first at line 10"},
      {"duplicate_quoted", kGood + "seed: 1\n\"seed\": 1\n", {}, "f:11:1: ", "twice"},
      {"duplicate_nested",
       "datasets:\n  - path: a\n    type: alpaca\n    path: b\n",
       {},
       "f:4:5: ",
       "path: the key stands there twice, first at line 2"},
      {"duplicate_in_flow", "datasets: [{path: a, path: b}]\n", {}, "f:1:22: ", "path: the key stands there twice"},
      {"deep_flow", "seed: " + repeated("[", 40) + repeated("]", 40), {}, "f:1:38: ", "nested deeper than 32"},
      {"deep_block", repeated("- ", 5000) + "x", {}, "f:1:65: ", "nested deeper than 32"},
      {"deep_maps", "a: " + repeated("{a: ", 40) + repeated("}", 40), {}, "f:1:128: ", "nested deeper than 32"},
      {"deep_unclosed", "seed: " + repeated("[", 1'000'000), {}, "f:1:", ""},
      {"deep_by_aliases",
       "a: &a " + repeated("[", 20) + repeated("]", 20) + "\nb: " + repeated("[", 20) + "*a" + repeated("]", 20),
       {},
       "f:2:24: ",
       "nested deeper than 32"},
      {"alias_bomb", nine_laughs(), {}, "f:", "more than 100000 values, aliases expanded"},
      {"alias_text_bomb",
       "a: &a " + std::string(100'000, 'x') + "\nb: [*a" + repeated(", *a", 300) + "]\n",
       {},
       "f:2:",
       "more than 16 MB of text"},
      {"alias_of_itself", "seed: &a [*a]\n", {}, "f:1:11: ", "an alias inside the value that it stands for"},
      {"many_values", "seed: [" + repeated("a,", 100'001) + "]\n", {}, "f:1:", "more than 100000 values"},
      {"tag", kGood + "seed: !!python/object:os.system x\n", {}, "f:10:7: ", "tags are not read here"},
      {"merge_key", "a: &a {x: 1}\n<<: *a\n", {}, "f:2:1: ", "merge key"},
      {"list_as_key", "? [a, b]\n: 1\n", {}, "f:1:3: ", "expected a key, found a list or a map"},
      {"no_key", ": 1\n", {}, "f:1:1: ", "expected a key, found none"},

      // Names.
      {"unknown",
       kGood + "learning_rte: 1\n",
       {},
       "f:10:1: ",
       "learning_rte: unknown key; did you mean learning_rate?"},
      {"unknown_dashes", kGood + "micro-batch-size: 1\n", {}, "f:10:1: ", "did you mean micro_batch_size?"},
      {"unknown_alias", kGood + "cutof_len: 1\n", {}, "f:10:1: ", "did you mean cutoff_len?"},
      {"unknown_far", kGood + "xyzzy_plugh: 1\n", {}, "f:10:1: ", "xyzzy_plugh: unknown key"},
      {"unknown_in_dataset",
       "datasets:\n  - {path: a, typ: alpaca}\n",
       {},
       "f:2:15: ",
       "datasets.0.typ: unknown key; did you mean datasets.0.type?"},
      {"alias_and_name",
       kGood + "lora_rank: 16\n",
       {},
       "f:10:1: ",
       "lora_rank: says another value than lora_r (f:8:1), and both mean lora_r; keep one of the two"},
      {"two_aliases", without("learning_rate") + "cutoff_len: 1\nmax_length: 2\n", {}, "f:10:1: ", "sequence_len"},
      {"two_seeds", kGood + "seed: 1\ndata_seed: 2\n", {}, "f:11:1: ", "both mean seed"},
      {"alias_by_value", kGood + "finetuning_type: full\n", {}, "f:10:1: ", "another value than adapter (f:7:1)"},
      {"batch_size", kGood + "batch_size: 8\n", {}, "f:10:1: batch_size: ", "write micro_batch_size"},
      {"quantized",
       kGood + "load_in_4bit: true\n",
       {},
       "f:10:1: load_in_4bit: ",
       "not supported yet; the base is held"},
      {"quantized_bits", kGood + "quantization_bit: 4\n", {}, "f:10:1: quantization_bit: ", "not supported yet"},
      {"quantized_bits_odd", kGood + "quantization_bit: 3\n", {}, "f:10:19: ", "expected 4, 8 or none"},
      {"tensor_parallel",
       kGood + "tensor_parallel_size: 2\n",
       {},
       "f:10:1: tensor_parallel_size: ",
       "not supported yet"},
      {"deepspeed", kGood + "deepspeed: zero3.json\n", {}, "f:10:1: deepspeed: ", "zero_stage: 1"},
      {"fsdp", kGood + "fsdp_config: {a: 1}\n", {}, "f:10:1: fsdp_config: ", "not supported yet"},
      {"wandb", kGood + "wandb_project: p\n", {}, "f:10:1: wandb_project: ", "report_to: [tensorboard]"},
      {"fp16", kGood + "fp16: true\n", {}, "f:10:1: fp16: ", "not supported yet; bf16 and float32 are"},
      {"qlora",
       without("adapter") + "adapter: qlora\n",
       {},
       "f:9:10: adapter: ",
       "`qlora` is not supported yet; expected lora or none"},
      {"dpo", kGood + "rl: dpo\n", {}, "f:10:5: rl: ", "`dpo` is not supported yet; expected sft or pt"},
      {"flash", kGood + "flash_attn: fa2\n", {}, "f:10:13: flash_attn: ", "`flash_attention_2` is not supported yet"},
      {"flash_by_its_name",
       kGood + "attn_implementation: flash_attention_2\n",
       {},
       "f:10:22: attn_implementation: ",
       "`flash_attention_2` is not supported yet; expected auto, eager or sdpa"},
      {"adapted_embeddings",
       kGood + "loraplus_lr_embedding: 1e-5\n",
       {},
       "f:10:1: loraplus_lr_embedding: ",
       "not supported yet; no adapter is put on embeddings"},
      {"offload", kGood + "gradient_checkpointing: offload\n", {}, "f:10:25: ", "`offload` is not supported yet"},
      {"report_wandb", kGood + "report_to: [tensorboard, wandb]\n", {}, "f:10:26: ", "`wandb` is not supported yet"},
      {"zero_3",
       kGood + "zero_stage: 3\n",
       {},
       "f:10:13: ",
       "`3` is not supported yet; expected an integer from 0 to 2"},
      {"zero_2_fast",
       kGood + "zero_stage: 2\nreduction: fast\n",
       {},
       "f:11:1: reduction: ",
       "fast contradicts zero_stage 2"},

      // Values.
      {"integer_text",
       kGood + "seed: abc\n",
       {},
       "f:10:7: ",
       "seed: expected an integer of at least 0, found the text `abc`"},
      {"integer_fraction", kGood + "max_steps: 1.5\n", {}, "f:10:12: ", "found the number 1.5"},
      {"integer_exponent", kGood + "max_steps: 1e3\n", {}, "f:10:12: ", "found the number 1e3; write 1000"},
      {"integer_quoted", kGood + "max_steps: '10'\n", {}, "f:10:12: ", "found the text \"10\""},
      {"integer_underscore", kGood + "max_steps: 1_000\n", {}, "f:10:12: ", "found the text `1_000`"},
      {"integer_negative",
       kGood + "save_steps: -1\n",
       {},
       "f:10:13: ",
       "expected an integer from 0 to 1000000000, found the number -1"},
      {"integer_beyond_64",
       kGood + "seed: 9223372036854775808\n",
       {},
       "f:10:7: ",
       "found the number 9223372036854775808"},
      {"integer_list", kGood + "seed: [1]\n", {}, "f:10:7: ", "found a list"},
      {"sequence_len_0", kGood + "sequence_len: 0\n", {}, "f:10:15: ", "from 1 to 10000000"},
      {"number_text",
       without("learning") + "learning_rate: fast\n",
       {},
       "f:9:16: ",
       "learning_rate: expected a number from 0 to 1000"},
      {"number_nan", kGood + "weight_decay: .nan\n", {}, "f:10:15: ", "found the number .nan"},
      {"number_inf", kGood + "max_grad_norm: .inf\n", {}, "f:10:16: ", "found the number .inf"},
      {"number_overflow", kGood + "weight_decay: 1e999\n", {}, "f:10:15: ", "found the number 1e999"},
      {"number_negative", kGood + "weight_decay: -0.1\n", {}, "f:10:15: ", "found the number -0.1"},
      {"dropout_1",
       kGood + "lora_dropout: 1\n",
       {},
       "f:10:15: ",
       "expected a number from 0 to below 1, found the number 1"},
      {"beta_1", kGood + "adam_beta2: 1.0\n", {}, "f:10:13: ", "from 0 to below 1"},
      {"epochs_0", kGood + "num_epochs: 0\n", {}, "f:10:13: ", "expected a number above 0 and at most 1000000"},
      {"boolean_yes", kGood + "sample_packing: yes\n", {}, "f:10:17: ", "found the text `yes`; write true or false"},
      {"boolean_off", kGood + "use_dora: Off\n", {}, "f:10:11: ", "write true or false"},
      {"boolean_number", kGood + "use_dora: 1\n", {}, "f:10:11: ", "expected true or false, found the number 1"},
      {"boolean_quoted", kGood + "use_dora: \"true\"\n", {}, "f:10:11: ", "remove the quotes"},
      {"choice",
       kGood + "lr_scheduler: cosin\n",
       {},
       "f:10:15: ",
       "expected cosine, linear or constant, found the text `cosin`; did you mean cosine?"},
      {"choice_later", kGood + "optimizer: adamw_bnb_8bit\n", {}, "f:10:12: ", "`adamw_bnb_8bit` is not supported yet"},
      {"text_number",
       without("output") + "output_dir: 5\n",
       {},
       "f:9:13: ",
       "expected a text, found the number 5; put it in quotes"},
      {"text_boolean", without("base_model") + "base_model: true\n", {}, "f:9:13: ", "found the truth value true"},
      {"text_map", without("base_model") + "base_model: {a: 1}\n", {}, "f:9:13: ", "expected a text, found a map"},
      {"list_wanted", kGood + "lora_modules_to_save: lm_head\n", {}, "f:10:23: ", "write [lm_head]"},
      {"list_empty_item", kGood + "lora_target_modules: [q_proj, '']\n", {}, "f:10:31: ", "found an empty one"},
      {"list_number_item",
       kGood + "lora_target_modules: [1]\n",
       {},
       "f:10:23: ",
       "expected a name, found the number 1"},
      {"targets_one_name",
       kGood + "lora_target_modules: q_proj\n",
       {},
       "f:10:1: ",
       "write a list, [q_proj], or all-linear"},
      {"targets_empty", kGood + "lora_target_modules: []\n", {}, "f:10:1: ", "an empty list"},
      {"date", kGood + "chat_template_date: 2025-02-29\n", {}, "f:10:1: ", "expected a date as 2025-07-26"},
      {"val_size", kGood + "val_set_size: 1.5\n", {}, "f:10:1: ", "a fraction below 1 or a whole number of rows"},

      // Datasets.
      {"datasets_text",
       "datasets: a.jsonl\n",
       {},
       "f:1:11: ",
       "expected a list of maps with path and type, found the text `a.jsonl`; write - path:"},
      {"datasets_item", "datasets: [a.jsonl]\n", {}, "f:1:12: ", "datasets.0: expected a map with path and type"},
      {"dataset_no_path", "datasets:\n  - type: alpaca\n", {}, "f:2:5: ", "datasets.0: path is missing"},
      {"dataset_no_type",
       "datasets:\n  - path: a\n",
       {},
       "f:2:5: ",
       "datasets.0: type is missing; write alpaca, completion"},
      {"dataset_type",
       "datasets: [{path: a, type: alpaka}]\n",
       {},
       "f:1:28: ",
       "datasets.0.type: expected alpaca, completion, chat_template, input_output or tokenized, found the text "
       "`alpaka`; did you mean alpaca?"},
      {"dataset_field",
       "datasets: [{path: a, type: alpaca, field_messages: m}]\n",
       {},
       "f:1:36: ",
       "datasets.0.field_messages: belongs to type chat_template, not to alpaca; alpaca takes field_instruction, "
       "field_input"},
      {"dataset_field_none", "datasets: [{path: a, type: tokenized, field: m}]\n", {}, "f:1:39: ", "takes no fields"},
      {"dataset_prompt",
       "datasets: [{path: a, type: alpaca, prompt_format: x}]\n",
       {},
       "f:1:51: ",
       "expected a text with {instruction}"},
      {"dataset_split",
       "datasets: [{path: a, type: alpaca, split: test}]\n",
       {},
       "f:1:36: ",
       "not supported yet; a file is read whole"},

      // What belongs together.
      {"no_base_model", without("base_model"), {}, "f: base_model: ", "missing; write the folder"},
      {"no_datasets", "base_model: m\noutput_dir: o\nlearning_rate: 1\n", {}, "f: datasets: ", "missing"},
      {"no_output_dir", without("output_dir"), {}, "f: output_dir: ", "missing"},
      {"no_learning_rate",
       without("learning_rate"),
       {},
       "f: learning_rate: ",
       "missing; write one, as in learning_rate: 2e-4"},
      {"null_learning_rate", without("learning_rate") + "learning_rate:\n", {}, "f:9:1: learning_rate: ", "missing"},
      {"no_rank", without("lora_r"), {}, "f: lora_r: ", "missing for adapter: lora; write one, as in lora_r: 16"},
      {"no_alpha", without("lora_alpha"), {}, "f: lora_alpha: ", "as in lora_alpha: 16"},
      {"two_warmups",
       kGood + "warmup_ratio: 0.1\nwarmup_steps: 5\n",
       {},
       "f:11:1: warmup_steps: ",
       "contradicts warmup_ratio (f:10:1)"},
      {"two_saves",
       kGood + "saves_per_epoch: 1\nsave_steps: 5\n",
       {},
       "f:10:1: saves_per_epoch: ",
       "contradicts save_steps (f:11:1)"},
      {"two_evals", kGood + "eval_steps: 1\nevals_per_epoch: 5\n", {}, "f:11:1: ", "contradicts eval_steps (f:10:1)"},
      {"two_validations",
       kGood + "val_set_size: 0.1\ntest_datasets: [{path: b, type: alpaca}]\n",
       {},
       "f:11:1: test_datasets: ",
       "contradicts val_set_size (f:10:1)"},
      {"none_with_rank",
       without("adapter") + "adapter: none\n",
       {},
       "f:7:1: lora_r: ",
       "says nothing with adapter: none (f:9:1)"},
      {"none_with_dora",
       "base_model: m\ndatasets: [{path: a, type: alpaca}]\noutput_dir: o\nlearning_rate: 1\nadapter:\nuse_dora: "
       "true\n",
       {},
       "f:6:1: use_dora: ",
       "adapter: none (f:5:1)"},
      {"none_with_loraplus",
       "base_model: m\ndatasets: [{path: a, type: alpaca}]\noutput_dir: o\nlearning_rate: 1\nadapter: "
       "none\nloraplus_lr_ratio: 16\n",
       {},
       "f:6:1: loraplus_lr_ratio: ",
       "says nothing"},
      {"batches_differ",
       kGood + "micro_batch_size: 2\ngradient_accumulation_steps: 4\nglobal_batch_size: 16\n",
       {},
       "f:12:1: global_batch_size: ",
       "contradicts gradient_accumulation_steps (f:11:1): micro 2 x accum 4 x ranks 1 = 8, not 16"},
      {"batch_small",
       kGood + "micro_batch_size: 8\nglobal_batch_size: 4\n",
       {},
       "f:11:1: ",
       "global_batch_size 4 is less than micro_batch_size 8"},
      {"batch_huge",
       kGood + "micro_batch_size: 65536\ngradient_accumulation_steps: 1000000\n",
       {},
       "f:11:1: ",
       "at most 1000000000"},
      {"patience",
       kGood + "early_stopping_patience: 3\n",
       {},
       "f:10:1: ",
       "nothing to decide by; write eval_steps or evals_per_epoch, and val_set_size"},
      {"eval_without_data", kGood + "eval_steps: 3\n", {}, "f:10:1: ", "nothing to evaluate on"},
      {"sgd_betas",
       kGood + "optimizer: sgd\nadam_beta1: 0.8\n",
       {},
       "f:11:1: adam_beta1: ",
       "says nothing with optimizer: sgd (f:10:1)"},
      {"adam_momentum", kGood + "sgd_momentum: 0.8\n", {}, "f:10:1: sgd_momentum: ", "or write optimizer: sgd"},
      {"overwrite_and_resume",
       kGood + "overwrite_output_dir: true\nresume_from_checkpoint: old\n",
       {},
       "f:10:1: ",
       "contradicts resume_from_checkpoint (f:11:1)"},

      // The command line.
      {"option_unknown",
       kGood,
       {{"learning-rte", "1"}},
       "--learning-rte: unknown option; did you mean --learning_rate?",
       ""},
      {"option_unknown_far", kGood, {{"xyzzy_plugh", "1"}}, "--xyzzy_plugh: unknown option", ""},
      {"option_empty", kGood, {{"", "1"}}, "--: unknown option", ""},
      {"option_value",
       kGood,
       {{"learning_rate", "fast"}},
       "--learning_rate: expected a number",
       "found the text `fast`"},
      {"option_dashes", kGood, {{"learning-rate", "-1"}}, "--learning-rate: expected a number", ""},
      {"option_alias", kGood, {{"lr", "x"}}, "--lr: expected a number", ""},
      {"option_two_names",
       kGood,
       {{"lr", "1"}, {"learning_rate", "2"}},
       "--learning_rate: says another value than lr (--lr)",
       ""},
      {"option_yaml",
       kGood,
       {{"lora_modules_to_save", "[a"}},
       "--lora_modules_to_save: expected a key, found a list or a map; is a bracket not closed?",
       ""},
      {"option_duplicate",
       kGood,
       {{"datasets", "[{path: a, path: b}]"}},
       "--datasets: path: the key stands there twice",
       ""},
      {"option_dataset_key",
       kGood,
       {{"datasets.0.pth", "b"}},
       "--datasets.0.pth: unknown option; did you mean --datasets.0.path?",
       ""},
      {"option_dataset_index",
       kGood,
       {{"datasets.2.path", "b"}},
       "--datasets.2.path: there are 1 datasets; the next is datasets.1",
       ""},
      {"option_dataset_no_index",
       kGood,
       {{"datasets.path", "b"}},
       "--datasets.path: unknown option; did you mean --datasets.0.path?",
       ""},
      {"option_dataset_negative", kGood, {{"datasets.-1.path", "b"}}, "--datasets.-1.path: unknown option", ""},
      {"option_dataset_huge",
       kGood,
       {{"datasets.99999999999999999999.path", "b"}},
       "--datasets.99999999999999999999.path: unknown option",
       ""},
      {"option_dataset_deep", kGood, {{"datasets.0.path.x", "b"}}, "--datasets.0.path.x: unknown option", ""},
      {"option_dataset_type",
       kGood,
       {{"datasets.0.type", "alpace"}},
       "--datasets.0.type: expected alpaca",
       "did you mean alpaca?"},
      {"option_new_dataset", kGood, {{"datasets.1.path", "b"}}, "--datasets.1.path: datasets.1: type is missing", ""},
      {"option_nested", kGood, {{"seed.x", "1"}}, "--seed.x: unknown option", ""},
      {"option_not_built", kGood, {{"load-in-4bit", "true"}}, "--load-in-4bit: not supported yet", ""},
      {"option_batch_size", kGood, {{"batch_size", "4"}}, "--batch_size: the word is ambiguous", ""},
      {"option_contradiction",
       kGood,
       {{"adapter", "none"}},
       "f:8:1: lora_r: says nothing with adapter: none (--adapter)",
       ""},
      {"option_rivals",
       kGood,
       {{"warmup_steps", "4"}, {"warmup_ratio", "0.1"}},
       "--warmup_steps: contradicts warmup_ratio (--warmup_ratio)",
       ""},
      {"option_not_utf8", kGood, {{"output_dir", "\xFF"}}, "--output_dir:1:1: not valid UTF-8", ""},
      {"option_two_documents", kGood, {{"seed", "1\n---\n2"}}, "--seed: expected one YAML document", ""},
  };
  return cases;
}

class BadConfig : public testing::TestWithParam<std::size_t> {};

TEST_P(BadConfig, NamesPlaceAndRemedy) {
  const Bad& bad = bad_files()[GetParam()];
  try {
    load_text(bad.text, "f", bad.overrides);
    FAIL() << "accepted";
  } catch (const runtime::UserError& error) {
    EXPECT_THAT(error.what(), StartsWith(bad.start));
    EXPECT_THAT(error.what(), HasSubstr(bad.message));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "one line";
    EXPECT_LT(std::string(error.what()).size(), 400u);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, BadConfig, testing::Range<std::size_t>(0, bad_files().size()),
                         [](const auto& info) { return bad_files()[info.param].name; });

TEST(BadConfig, TheBaseOfTheTableIsGood) {
  EXPECT_NO_THROW(load_text(kGood, "f", {}));
}

TEST(BadConfig, MissingFileIsTheUsersError) {
  EXPECT_THROW(load("/nonexistent/config.yaml", {}), runtime::UserError);
  EXPECT_THROW(load("/", {}), runtime::UserError);
}

TEST(BadConfig, ALongPathIsShownWhole) {
  const std::string where = "/" + repeated("long/", 100) + "a.yaml";
  try {
    load_text(kGood + "seed: x\n", where, {});
    FAIL() << "accepted";
  } catch (const runtime::UserError& error) {
    EXPECT_THAT(error.what(), StartsWith(where + ":10:7: seed: "));
  }
}

// Cut anywhere, a configuration either loads or says what is wrong with it.
TEST(BadConfig, CutAtAnyByte) {
  const std::string text = kGood + "lora_target_modules: [q_proj, \"v_proj\"]\nchat_template: |\n  {{ a }}\n  é\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    try {
      load_text(text.substr(0, cut), "f", {});
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), StartsWith("f")) << cut;
    }
  }
}

}  // namespace
}  // namespace cadre::config
