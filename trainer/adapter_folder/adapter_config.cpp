#include "trainer/adapter_folder/adapter_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "runtime/quote.h"
#include "trainer/model_folder/json_fields.h"

namespace cadre::adapter_folder {
namespace {

using model_folder::JsonFields;
using runtime::in_quotes;
using runtime::say;
namespace json = boost::json;

constexpr std::int64_t kMaxRank = 65536;
constexpr std::size_t kMaxEntries = 100'000;

// Fields that are read below, and those that never change what an adapter computes.
constexpr std::array kKnown{"alpha_pattern",
                            "base_model_name_or_path",
                            "ensure_weight_tying",
                            "exclude_modules",
                            "inference_mode",
                            "init_lora_weights",
                            "layers_pattern",
                            "layers_to_transform",
                            "lora_alpha",
                            "lora_dropout",
                            "modules_to_save",
                            "peft_type",
                            "r",
                            "rank_pattern",
                            "target_modules",
                            "task_type",
                            "use_dora",
                            "use_rslora",
                            "bias",
                            "auto_mapping",
                            "corda_config",
                            "eva_config",
                            "loftq_config",
                            "lora_ga_config",
                            "megatron_core",
                            "peft_version",
                            "qalora_group_size",
                            "revision",
                            "runtime_config"};

// null, false, "", [], {}: what a field holds that is not used.
bool is_unused(const json::value& value) {
  if (const auto* object = value.if_object()) return object->empty();
  if (const auto* array = value.if_array()) return array->empty();
  if (const auto* text = value.if_string()) return text->empty();
  return value.is_null() || (value.is_bool() && !value.get_bool());
}

void refuse_unsupported(const JsonFields& fields) {
  const std::string peft_type = fields.text("peft_type").value_or("");
  if (peft_type != "LORA") fields.expected("peft_type", "\"LORA\", the kind of adapter that is supported");
  if (fields.text("task_type").value_or("CAUSAL_LM") != "CAUSAL_LM") fields.expected("task_type", "\"CAUSAL_LM\"");
  if (fields.text("bias").value_or("none") != "none") {
    fields.expected("bias", "\"none\", since trained biases are not supported");
  }
  for (const auto& [key, value] : fields.json()) {
    const std::string_view name(key.data(), key.size());
    if (name == "bias" || is_unused(value)) continue;
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      fields.fail(name, say("is not supported, found ", model_folder::short_json(value)));
    }
  }
}

std::vector<std::string> text_or_texts(const JsonFields& fields, const char* name) {
  const json::value* value = fields.find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {std::string(value->get_string())};
  return *fields.texts(name);
}

ModuleSelection parse_selection(const JsonFields& fields, const char* name) {
  const json::value* value = fields.find(name);
  if (value == nullptr) return {};
  if (value->is_string()) {
    if (value->get_string().empty()) fields.expected(name, "a list of names or a regular expression");
    return ModuleSelection::of_pattern(std::string(value->get_string()));
  }
  if (!value->is_array()) fields.expected(name, "a list of names or a regular expression");
  ModuleSelection selection = ModuleSelection::of_names(*fields.texts(name));
  if (selection.names.size() > kMaxEntries) fields.fail(name, say("has more than ", kMaxEntries, " entries"));
  return selection;
}

std::string parse_init(const JsonFields& fields) {
  const json::value* value = fields.find("init_lora_weights");
  if (value == nullptr) return "true";
  if (value->is_bool()) return value->get_bool() ? "true" : "false";
  const std::string init = fields.text("init_lora_weights").value_or("");
  // The others change the base weights when an adapter is put on.
  if (init != "gaussian" && init != "eva" && init != "orthogonal") {
    fields.expected("init_lora_weights",
                    "true, false, gaussian, eva or orthogonal; others change the base, convert the adapter with PEFT");
  }
  return init;
}

std::vector<std::string> parse_modules_to_save(const JsonFields& fields) {
  std::vector<std::string> modules;
  for (std::string name : fields.texts("modules_to_save").value_or(std::vector<std::string>{})) {
    // PEFT adds the full name of a tied embedding.
    if (name == "model.embed_tokens") name = "embed_tokens";
    if (name != "embed_tokens" && name != "lm_head") {
      fields.fail("modules_to_save", say("expected embed_tokens and lm_head, found ", in_quotes(name)));
    }
    if (std::find(modules.begin(), modules.end(), name) == modules.end()) modules.push_back(std::move(name));
  }
  return modules;
}

std::vector<std::int64_t> parse_layers(const JsonFields& fields) {
  const json::value* value = fields.find("layers_to_transform");
  if (value == nullptr) return {};
  std::vector<std::int64_t> layers;
  const auto take = [&](const json::value& entry) {
    if (!entry.is_int64() || entry.get_int64() < 0) fields.expected("layers_to_transform", "layer numbers");
    layers.push_back(entry.get_int64());
  };
  if (const auto* list = value->if_array()) {
    std::for_each(list->begin(), list->end(), take);
  } else {
    take(*value);
  }
  return layers;
}

void parse_patterns(const JsonFields& fields, AdapterConfig& config) {
  if (const auto ranks = fields.object("rank_pattern")) {
    for (const auto& [key, value] : ranks->json()) {
      config.rank_pattern.emplace_back(key, *ranks->integer(key, {1, kMaxRank}));
    }
  }
  if (const auto alphas = fields.object("alpha_pattern")) {
    for (const auto& [key, value] : alphas->json()) {
      config.alpha_pattern.emplace_back(key, *alphas->number(key, {0.0, 1e12}));
    }
  }
}

// 32.0 as 32, the way people write it and PEFT types it.
json::value plain_number(double number) {
  if (number == std::floor(number) && std::abs(number) < 1e15) return static_cast<std::int64_t>(number);
  return number;
}

json::value sorted_array(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  json::array array;
  for (const std::string& name : names) array.push_back(json::string(name));
  return array;
}

json::value selection_json(const ModuleSelection& selection) {
  if (!selection.is_given) return nullptr;
  if (!selection.pattern.empty()) return json::string(selection.pattern);
  return sorted_array(selection.names);
}

template <typename Entries, typename ToJson>
json::object sorted_object(Entries entries, ToJson to_json) {
  std::sort(entries.begin(), entries.end());
  json::object object;
  for (const auto& [key, value] : entries) object.emplace(key, to_json(value));
  return object;
}

}  // namespace

bool ModuleSelection::is_all_linear() const {
  std::string lower = pattern;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower == "all-linear";
}

AdapterConfig parse_adapter_config(std::string_view text, const std::string& where) {
  const json::object object = model_folder::parse_json_object(text, where);
  const JsonFields fields(object, where);
  refuse_unsupported(fields);

  AdapterConfig config;
  config.r = fields.integer("r", {1, kMaxRank}).value_or(config.r);
  config.lora_alpha = fields.number("lora_alpha", {0.0, 1e12}).value_or(config.lora_alpha);
  config.lora_dropout = fields.number("lora_dropout", {0.0, 1.0}).value_or(0.0);
  config.target_modules = parse_selection(fields, "target_modules");
  config.exclude_modules = parse_selection(fields, "exclude_modules");
  config.modules_to_save = parse_modules_to_save(fields);
  config.use_rslora = fields.flag("use_rslora").value_or(false);
  config.use_dora = fields.flag("use_dora").value_or(false);
  config.init_lora_weights = parse_init(fields);
  parse_patterns(fields, config);
  config.layers_to_transform = parse_layers(fields);
  config.layers_pattern = text_or_texts(fields, "layers_pattern");
  config.ensure_weight_tying = fields.flag("ensure_weight_tying").value_or(false);
  config.base_model_name_or_path = fields.text("base_model_name_or_path").value_or("");
  config.inference_mode = fields.flag("inference_mode").value_or(false);

  const bool is_pattern = !config.target_modules.pattern.empty();
  if (is_pattern && (!config.layers_to_transform.empty() || !config.layers_pattern.empty())) {
    fields.fail("layers_to_transform", "cannot be used where target_modules is a regular expression");
  }
  if (!config.layers_pattern.empty() && config.layers_to_transform.empty()) {
    fields.fail("layers_pattern", "needs layers_to_transform beside it");
  }
  return config;
}

std::string print_adapter_config(const AdapterConfig& config) {
  json::object object;
  object["alpha_pattern"] = sorted_object(config.alpha_pattern, plain_number);
  object["auto_mapping"] = nullptr;
  object["base_model_name_or_path"] = config.base_model_name_or_path.empty()
                                          ? json::value()
                                          : json::value(json::string(config.base_model_name_or_path));
  object["bias"] = "none";
  // Readers that do not know these two must not see them: PEFT warns of unknown fields.
  if (config.ensure_weight_tying) object["ensure_weight_tying"] = true;
  if (config.exclude_modules.is_given) object["exclude_modules"] = selection_json(config.exclude_modules);
  object["fan_in_fan_out"] = false;
  object["inference_mode"] = config.inference_mode;
  if (config.init_lora_weights == "true" || config.init_lora_weights == "false") {
    object["init_lora_weights"] = config.init_lora_weights == "true";
  } else {
    object["init_lora_weights"] = json::string(config.init_lora_weights);
  }
  object["layers_pattern"] = config.layers_pattern.empty() ? json::value() : sorted_array(config.layers_pattern);
  object["layers_to_transform"] = nullptr;
  if (!config.layers_to_transform.empty()) {
    object["layers_to_transform"] = json::array(config.layers_to_transform.begin(), config.layers_to_transform.end());
  }
  object["lora_alpha"] = plain_number(config.lora_alpha);
  object["lora_dropout"] = config.lora_dropout;
  object["modules_to_save"] = config.modules_to_save.empty() ? json::value() : sorted_array(config.modules_to_save);
  object["peft_type"] = "LORA";
  object["r"] = config.r;
  object["rank_pattern"] = sorted_object(config.rank_pattern, [](std::int64_t rank) { return json::value(rank); });
  object["revision"] = nullptr;
  object["target_modules"] = selection_json(config.target_modules);
  object["task_type"] = "CAUSAL_LM";
  object["use_dora"] = config.use_dora;
  object["use_rslora"] = config.use_rslora;
  return runtime::json_pretty(object);
}

}  // namespace cadre::adapter_folder
