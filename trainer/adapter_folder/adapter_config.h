// adapter_config.json of a PEFT LoRA adapter, as values. Reading is tolerant of what every PEFT version writes and
// refuses by name what would change the mathematics and is not built; writing gives the fields that old and new readers
// know, and the same bytes for the same values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cadre::adapter_folder {

// Which modules a field names: a list, each entry a whole name or what follows a dot in one; or a regular expression
// that the whole name matches; or, as targets, "all-linear".
struct ModuleSelection {
  std::vector<std::string> names = {};
  std::string pattern = {};  // wins where it is not empty
  bool is_given = false;     // false: null in the file, the architecture's default

  static ModuleSelection of_names(std::vector<std::string> names) { return {std::move(names), {}, true}; }
  static ModuleSelection of_pattern(std::string pattern) { return {{}, std::move(pattern), true}; }
  bool is_all_linear() const;

  bool operator==(const ModuleSelection&) const = default;
};

struct AdapterConfig {
  std::int64_t r = 8;
  double lora_alpha = 8;
  double lora_dropout = 0;
  ModuleSelection target_modules = {};
  ModuleSelection exclude_modules = {};
  std::vector<std::string> modules_to_save = {};  // "embed_tokens", "lm_head"
  bool use_rslora = false, use_dora = false;
  std::string init_lora_weights = "true";  // true | false | gaussian | …: how the adapter began
  std::vector<std::pair<std::string, std::int64_t>> rank_pattern = {};  // regular expressions; the first match wins
  std::vector<std::pair<std::string, double>> alpha_pattern = {};
  std::vector<std::int64_t> layers_to_transform = {};  // empty: all
  std::vector<std::string> layers_pattern = {};
  bool ensure_weight_tying = false;
  std::string base_model_name_or_path = {};
  bool inference_mode = true;

  bool operator==(const AdapterConfig&) const = default;
};

// `where` names the file. UserError: not a LoRA adapter, an impossible value, something not supported.
AdapterConfig parse_adapter_config(std::string_view json, const std::string& where);

// indent 2, keys sorted, as PEFT writes; lists of names sorted too. No newline at the end.
std::string print_adapter_config(const AdapterConfig& config);

}  // namespace cadre::adapter_folder
