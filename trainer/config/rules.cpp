#include "trainer/config/rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "runtime/error.h"
#include "trainer/config/assign.h"
#include "trainer/config/yaml_scalar.h"

namespace cadre::config {
namespace {

using runtime::say;
using runtime::UserError;

// Two ways to say one thing.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRivals{{
    {"warmup_ratio", "warmup_steps"},
    {"save_steps", "saves_per_epoch"},
    {"eval_steps", "evals_per_epoch"},
    {"val_set_size", "test_datasets"},
    {"global_batch_size", "gradient_accumulation_steps"},
}};

class Rules {
 public:
  Rules(Config& config, const GivenKeys& given, const std::string& where)
      : config_(config), given_(given), where_(where) {}

  Derivation check(std::int64_t ranks) {
    required();
    rivals();
    adapter();
    batch(ranks);
    optimizer();
    evaluation();
    rest();
    return std::move(derivation_);
  }

 private:
  // Given with a value that is not the default: then it says something.
  bool says(std::string_view name) const {
    static const Config defaults;
    const auto found = given_.find(name);
    if (found == given_.end() || found->second.node.kind == YamlNode::Kind::kNull) return false;
    const Key& key = *found->second.key;
    if (is_dataset_list(key)) return !found->second.node.items.empty();
    return written(config_, key) != written(defaults, key);
  }

  std::string spelled(std::string_view name) const {
    const auto found = given_.find(name);
    return found == given_.end() ? std::string(name) : found->second.name;
  }

  std::string place(std::string_view name) const {
    const auto found = given_.find(name);
    return found == given_.end() ? where_ : found->second.place.text();
  }

  // At the place of `name`, whether it was given there or is missing.
  template <typename... Parts>
  [[noreturn]] void fail(std::string_view name, const Parts&... parts) const {
    const auto found = given_.find(name);
    const std::string start =
        found == given_.end() ? say(where_, ": ", name, ": ") : blame(found->second.place, found->second.name);
    throw UserError(say(start, parts...));
  }

  template <typename... Parts>
  void note(const Parts&... parts) {
    derivation_.notes.push_back(say(parts...));
  }

  void required() const {
    if (config_.base_model.empty())
      fail("base_model", "missing; write the folder of the base model, as in base_model: /models/Llama-3.1-8B");
    if (config_.datasets.empty())
      fail("datasets",
           "missing; write what to train on, as in datasets: [{path: data/train.jsonl, type: chat_template}]");
    if (config_.output_dir.empty())
      fail("output_dir", "missing; write the folder that the run is to write, as in output_dir: ./outputs/run1");
    const auto rate = given_.find("learning_rate");
    if (rate == given_.end() || rate->second.node.kind == YamlNode::Kind::kNull)
      fail("learning_rate", "missing; write one, as in learning_rate: ", config_.adapter == "none" ? "1e-5" : "2e-4");
  }

  void rivals() const {
    for (const auto& [one, other] : kRivals) {
      if (one == "global_batch_size" || !says(one) || !says(other)) continue;
      fail(other, "contradicts ", spelled(one), " (", place(one), "): both say the same thing in two ways; keep one");
    }
  }

  void adapter() {
    if (config_.adapter == "none") {
      for (const Key& key : run_schema().keys)
        if (key.adapter_only && says(key.name))
          fail(key.name, "says nothing with adapter: none (", place("adapter"), "); remove it, or write adapter: lora");
      return;
    }
    const bool continues = !config_.lora_model_dir.empty();
    if (!continues && config_.lora_r == 0)
      fail("lora_r", "missing for adapter: lora; write one, as in lora_r: 16, or adapter: none for full fine-tuning");
    if (!continues && config_.lora_alpha == 0)
      fail("lora_alpha", "missing for adapter: lora; tools differ in its default, so write it, as in lora_alpha: ",
           config_.lora_r > 0 ? 2 * config_.lora_r : 32, " (the adapter is scaled by lora_alpha / lora_r)");
    if (config_.lora_r > 0 && config_.lora_alpha > 0) {
      const auto r = static_cast<double>(config_.lora_r);
      const double scaling = config_.lora_alpha / (config_.use_rslora ? std::sqrt(r) : r);
      note("LoRA scaling: lora_alpha / ", config_.use_rslora ? "sqrt(lora_r)" : "lora_r", " = ", config_.lora_alpha,
           " / ", config_.use_rslora ? say("sqrt(", config_.lora_r, ")") : say(config_.lora_r), " = ", scaling);
    } else {
      note("LoRA rank and alpha come from lora_model_dir ", config_.lora_model_dir);
    }
    targets(continues);
    if (config_.use_dora || !config_.lora_modules_to_save.empty())
      note(config_.use_dora ? "use_dora" : "lora_modules_to_save",
           ": vLLM and llama.cpp do not load such an adapter; give them the merged model");
    if (config_.use_rslora) note("use_rslora: llama.cpp scales by lora_alpha / lora_r; give it the merged model");
  }

  void targets(bool continues) {
    std::vector<std::string>& targets = config_.lora_target_modules;
    if (targets.empty()) {
      if (says_list("lora_target_modules")) fail("lora_target_modules", "an empty list; write names, or all-linear");
      if (!continues) targets = {"all-linear"}, config_.lora_target_is_list = false;
      return;
    }
    if (config_.lora_target_is_list) return;
    std::string& text = targets.front();
    std::string lower = text;
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (lower == "all-linear") {
      text = lower;
      return;
    }
    // A lone name is a regular expression that matches no whole module name: a list was meant.
    const auto in_name = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ',' ||
             c == ' ';
    };
    if (std::all_of(text.begin(), text.end(), in_name))
      fail("lora_target_modules", "a text is a regular expression for the whole name of a module; write a list, [",
           text, "], or all-linear");
  }

  bool says_list(std::string_view name) const {
    const auto found = given_.find(name);
    return found != given_.end() && found->second.node.kind == YamlNode::Kind::kList;
  }

  void batch(std::int64_t ranks) {
    const std::int64_t micro = config_.micro_batch_size;
    std::int64_t& global = config_.global_batch_size;
    const auto& accumulation = config_.gradient_accumulation_steps;
    const std::int64_t product = micro * accumulation.value_or(1) * ranks;
    if (accumulation && global > 0 && global != product)
      fail("global_batch_size", "contradicts ", spelled("gradient_accumulation_steps"), " (",
           place("gradient_accumulation_steps"), "): micro ", micro, " x accum ", *accumulation, " x ranks ", ranks,
           " = ", product, ", not ", global, "; keep one of the two");
    if (global == 0) {
      constexpr std::int64_t kMost = 1'000'000'000;
      if (product > kMost)
        fail(accumulation ? "gradient_accumulation_steps" : "micro_batch_size", "micro ", micro, " x accum ",
             accumulation.value_or(1), " x ranks ", ranks, " = ", product, " sequences per step; at most ", kMost);
      global = product;
      derivation_.origins["global_batch_size"] = say(accumulation ? "gradient_accumulation_steps × " : "",
                                                     "micro_batch_size", ranks > 1 ? say(" × ", ranks, " ranks") : "");
      if (accumulation && ranks > 1)
        note("gradient_accumulation_steps counts the ranks of the first start (", ranks, "): global_batch_size is ",
             global, " for the life of the run");
    }
    if (global < micro)
      fail(says("global_batch_size") ? "global_batch_size" : "micro_batch_size", "global_batch_size ", global,
           " is less than micro_batch_size ", micro, "; a step holds at least one micro-batch");
    const std::string tokens = say(" (at most ", global * config_.sequence_len, " tokens)");
    if (global % (micro * ranks) == 0)
      note("micro ", micro, " x accum ", global / (micro * ranks), " x ranks ", ranks, " = ", global,
           " sequences per step", tokens);
    else
      note(global, " sequences per step in ", (global + micro - 1) / micro, " micro-batches of at most ", micro,
           tokens);
  }

  void optimizer() const {
    const bool sgd = config_.optimizer == "sgd";
    for (const std::string_view name : {"adam_beta1", "adam_beta2", "adam_epsilon"})
      if (sgd && says(name)) fail(name, "says nothing with optimizer: sgd (", place("optimizer"), "); remove it");
    if (!sgd && says("sgd_momentum"))
      fail("sgd_momentum", "says nothing with optimizer: ", config_.optimizer, "; remove it, or write optimizer: sgd");
  }

  void evaluation() const {
    const bool data = config_.val_set_size > 0 || !config_.test_datasets.empty();
    const bool when = config_.eval_steps > 0 || config_.evals_per_epoch > 0;
    if (config_.val_set_size > 1 && config_.val_set_size != std::floor(config_.val_set_size))
      fail("val_set_size", "expected a fraction below 1 or a whole number of rows, found ", config_.val_set_size);
    if (when && !data)
      fail(config_.eval_steps > 0 ? "eval_steps" : "evals_per_epoch",
           "nothing to evaluate on; write val_set_size (as in 0.05) or test_datasets");
    if (config_.early_stopping_patience > 0 && !when)
      fail("early_stopping_patience", "nothing to decide by; write eval_steps or evals_per_epoch",
           data ? "" : ", and val_set_size or test_datasets");
  }

  void rest() {
    if (config_.overwrite_output_dir && config_.resume_from_checkpoint != "auto" &&
        config_.resume_from_checkpoint != "none")
      fail("overwrite_output_dir", "contradicts resume_from_checkpoint (", place("resume_from_checkpoint"),
           "): start anew or go on; keep one");
    if (config_.zero_stage >= 2 && config_.reduction == "fast")
      fail("reduction", "fast contradicts zero_stage ", config_.zero_stage,
           ", which adds micro-batch by micro-batch; "
           "expected exact, or zero_stage 1");
    if (config_.resume_from_checkpoint.empty()) fail("resume_from_checkpoint", "expected auto, none or a folder");
    if (!config_.chat_template_date.empty() && !is_date(config_.chat_template_date))
      fail("chat_template_date", "expected a date as 2025-07-26, found \"", shown(config_.chat_template_date), "\"");
    if (config_.zero_stage == 0 && says("state_copies"))
      note("zero_stage 0 decides: every rank holds a copy of all state; state_copies does not");
    if (says("attn_implementation"))
      note("attn_implementation: ", config_.attn_implementation, " and auto are one and the same kernel here");
    if (config_.max_steps > 0 && says("num_epochs"))
      note("max_steps ", config_.max_steps, " decides; num_epochs does not");
  }

  static bool is_date(const std::string& text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
    for (const std::size_t i : {0, 1, 2, 3, 5, 6, 8, 9})
      if (text[i] < '0' || text[i] > '9') return false;
    const int year = std::stoi(text.substr(0, 4)), month = std::stoi(text.substr(5, 2)),
              day = std::stoi(text.substr(8));
    if (month < 1 || month > 12 || day < 1) return false;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    constexpr std::array<int, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return day <= kDays[static_cast<std::size_t>(month) - 1] + (month == 2 && leap ? 1 : 0);
  }

  Config& config_;
  const GivenKeys& given_;
  const std::string& where_;
  Derivation derivation_;
};

bool is_null(const GivenKeys& given, std::string_view name) {
  const auto found = given.find(name);
  return found == given.end() || found->second.node.kind == YamlNode::Kind::kNull;
}

}  // namespace

void drop_rivals(GivenKeys& below, const GivenKeys& above, std::vector<std::string>& notes) {
  const auto drop = [&](std::string_view stays, std::string_view goes) {
    if (is_null(above, stays) || is_null(below, goes) || above.contains(goes)) return;
    notes.push_back(say("--", stays, " on the command line replaces ", below.at(goes).name, " (",
                        below.at(goes).place.text(), ")"));
    below.erase(goes);
  };
  for (const auto& [one, other] : kRivals) {
    drop(one, other);
    drop(other, one);
  }
}

Derivation derive(Config& config, const GivenKeys& given, const std::string& where, std::int64_t ranks) {
  CADRE_CHECK(ranks >= 1 && ranks <= 1'000'000, "ranks = ", ranks);
  return Rules(config, given, where).check(ranks);
}

void check_dataset(const DatasetConfig& dataset, const GivenKeys& given, const std::string& name, const Place& place) {
  const std::string start = blame(place, name);
  if (dataset.path.empty())
    throw UserError(say(start, "path is missing; write the file, as in path: data/train.jsonl"));
  if (dataset.type.empty())
    throw UserError(say(start, "type is missing; write ", join_or(dataset_schema().find("type")->choices)));
  for (const auto& [key_name, one] : given) {
    const auto& types = one.key->dataset_types;
    if (one.node.kind == YamlNode::Kind::kNull || types.empty() ||
        std::find(types.begin(), types.end(), dataset.type) != types.end())
      continue;
    std::vector<std::string_view> takes;
    for (const Key& key : dataset_schema().keys)
      if (std::find(key.dataset_types.begin(), key.dataset_types.end(), dataset.type) != key.dataset_types.end())
        takes.push_back(key.name);
    throw UserError(say(blame(one.place, one.name), "belongs to type ", join_or(types), ", not to ", dataset.type,
                        takes.empty() ? say(", which takes no fields; remove it")
                                      : say("; ", dataset.type, " takes ", join_or(takes))));
  }
  for (const std::string_view key : {"prompt_format", "prompt_no_input_format"}) {
    const std::string& format = key == "prompt_format" ? dataset.prompt_format : dataset.prompt_no_input_format;
    if (format.empty() || format.find("{instruction}") != std::string::npos ||
        format.find("{input}") != std::string::npos)
      continue;
    const Given& one = given.at(key);
    throw UserError(say(blame(one.node.place, one.name), "expected a text with {instruction}, found none in it"));
  }
}

}  // namespace cadre::config
