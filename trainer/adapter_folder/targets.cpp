#include "trainer/adapter_folder/targets.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "runtime/error.h"
#include "runtime/quote.h"
#include "trainer/adapter_folder/modules.h"
#include "trainer/adapter_folder/python_regex.h"
#include "trainer/config/suggest.h"

namespace cadre::adapter_folder {
namespace {

using model_folder::ModelSpec;
using runtime::in_quotes;
using runtime::say;

bool names_module(std::string_view entry, std::string_view module) {
  if (entry == module) return true;
  return module.size() > entry.size() && module.ends_with(entry) && module[module.size() - entry.size() - 1] == '.';
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// A selection made ready to be asked about many modules.
class Matcher {
 public:
  Matcher(ModuleSelection selection, const std::string& where) : selection_(std::move(selection)) {
    if (!selection_.pattern.empty()) regex_.emplace(selection_.pattern, where);
  }

  bool matches(std::string_view module) const {
    if (regex_) return regex_->matches_all(module);
    return std::any_of(selection_.names.begin(), selection_.names.end(),
                       [&](const std::string& entry) { return names_module(entry, module); });
  }

 private:
  ModuleSelection selection_;
  std::optional<PythonRegex> regex_;
};

// layers_to_transform: does the module lie in one of those layers?
class LayerFilter {
 public:
  LayerFilter(const AdapterConfig& config, const std::string& where) : layers_(config.layers_to_transform) {
    if (layers_.empty()) return;
    if (config.layers_pattern.empty()) regexes_.emplace_back("(?:.*?\\.[^.]*\\.)(\\d+)\\.", where);
    for (const std::string& pattern : config.layers_pattern) {
      // Any group of the pattern's own would come before the layer's number.
      if (pattern.find('(') != std::string::npos) {
        throw runtime::UserError(say(where, ": layers_pattern: expected a name, found ", in_quotes(pattern)));
      }
      regexes_.emplace_back("(?:^|.*?\\.)" + pattern + "\\.(\\d+)\\.", where + ": layers_pattern");
    }
  }

  bool holds(std::string_view module) const {
    if (layers_.empty()) return true;
    for (const PythonRegex& regex : regexes_) {
      const std::optional<std::string> number = regex.first_group_at_start(module);
      if (!number) continue;
      std::int64_t layer = -1;
      std::from_chars(number->data(), number->data() + number->size(), layer);
      return std::find(layers_.begin(), layers_.end(), layer) != layers_.end();
    }
    return false;
  }

 private:
  const std::vector<std::int64_t>& layers_;
  std::vector<PythonRegex> regexes_;
};

// The value of the first pattern that a module's name ends in.
template <typename Value>
class Patterns {
 public:
  Patterns(const std::vector<std::pair<std::string, Value>>& entries, const std::string& where) {
    for (const auto& [key, value] : entries) regexes_.emplace_back(PythonRegex("(.*\\.)?(" + key + ")$", where), value);
  }

  // Index of the first that matches; how many there are where none does.
  std::size_t first_for(std::string_view module) const {
    std::size_t i = 0;
    while (i < regexes_.size() && !regexes_[i].first.first_group_at_start(module)) ++i;
    return i;
  }

  Value value_for(std::string_view module, Value otherwise) const {
    const std::size_t first = first_for(module);
    return first == regexes_.size() ? otherwise : regexes_[first].second;
  }

 private:
  std::vector<std::pair<PythonRegex, Value>> regexes_;
};

// Patterns as they can be saved: JSON of sorted keys loses their order, and PEFT warns of those that are never used.
// Where either matters, one entry a module that differs.
template <typename Value>
std::vector<std::pair<std::string, Value>> saved_patterns(std::vector<std::pair<std::string, Value>> entries,
                                                          const std::vector<Target>& targets, Value otherwise,
                                                          Value Target::*member) {
  const Patterns patterns(entries, "adapter");
  std::set<std::size_t> used;
  for (const Target& target : targets) used.insert(patterns.first_for(target.module));
  used.erase(entries.size());
  if (used.size() == entries.size() && std::is_sorted(entries.begin(), entries.end())) return entries;
  entries.clear();
  for (const Target& target : targets) {
    if (target.*member != otherwise) entries.emplace_back(target.module, target.*member);
  }
  return entries;
}

// The targets, with the default of PEFT's table put in.
ModuleSelection effective_targets(const ModelSpec& spec, const AdapterConfig& config, const std::string& where) {
  if (config.target_modules.is_given) return config.target_modules;
  if (spec.fused_projections) {
    throw runtime::UserError(say(where, ": target_modules: ", spec.architecture,
                                 " has no default; give all-linear or some of ", joined(linear_names(spec))));
  }
  return ModuleSelection::of_names({"q_proj", "v_proj"});
}

[[noreturn]] void refuse_kind(const ModelSpec& spec, const Module& module, const std::string& asked,
                              const std::string& where) {
  const bool savable = module.kind != ModuleKind::kOther;
  const std::string name = module.kind == ModuleKind::kHead ? "lm_head" : "embed_tokens";
  throw runtime::UserError(say(
      where, ": target_modules: ", asked, " selects ", module.name, ", ",
      savable ? say("which can only be trained whole: name ", name, " in modules_to_save") : "which is no linear layer",
      "; those that can be adapted are ", joined(linear_names(spec))));
}

// Every entry of a list must name something that can be adapted: PEFT drops the others without a word.
void check_entries(const ModelSpec& spec, const AdapterConfig& config, const std::vector<std::string>& entries,
                   const std::vector<Module>& modules, const std::string& where) {
  for (const std::string& entry : entries) {
    bool matches = false;
    for (const Module& module : modules) {
      if (!names_module(entry, module.name)) continue;
      matches = true;
      for (const std::string& saved : config.modules_to_save) {
        if (names_module(saved, module.name)) {
          throw runtime::UserError(say(where, ": target_modules: ", in_quotes(entry),
                                       " is also in modules_to_save, where ", module.name,
                                       " is trained whole; take it out of one of the two"));
        }
      }
      if (module.kind != ModuleKind::kLinear) refuse_kind(spec, module, in_quotes(entry), where);
    }
    if (matches) continue;
    const std::vector<std::string> names = linear_names(spec);
    const std::string_view near = config::nearest(entry, std::vector<std::string_view>(names.begin(), names.end()));
    throw runtime::UserError(say(where, ": target_modules: ", in_quotes(entry), " names no module of ",
                                 spec.architecture, "; its linear layers are ", joined(names),
                                 near.empty() ? "" : say("; did you mean ", near, "?")));
  }
}

void check_layers(const ModelSpec& spec, const AdapterConfig& config, const std::string& where) {
  for (const std::int64_t layer : config.layers_to_transform) {
    if (layer < static_cast<std::int64_t>(spec.layers.size())) continue;
    throw runtime::UserError(
        say(where, ": layers_to_transform: expected layers 0 to ", spec.layers.size() - 1, ", found ", layer));
  }
}

}  // namespace

std::vector<Target> resolve_targets(const ModelSpec& spec, const AdapterConfig& config, const std::string& where) {
  const std::vector<Module> modules = modules_of(spec);
  const ModuleSelection selection = effective_targets(spec, config, where);
  const bool all_linear = selection.is_all_linear();
  check_layers(spec, config, where);
  if (selection.pattern.empty()) check_entries(spec, config, selection.names, modules, where);

  const Matcher wanted(all_linear ? ModuleSelection{} : selection, where + ": target_modules");
  const Matcher excluded(config.exclude_modules, where + ": exclude_modules");
  const LayerFilter layers(config, where);
  const Patterns ranks(config.rank_pattern, where + ": rank_pattern");
  const Patterns alphas(config.alpha_pattern, where + ": alpha_pattern");
  std::vector<Target> targets;
  for (const Module& module : modules) {
    if (all_linear ? module.kind != ModuleKind::kLinear : !wanted.matches(module.name)) continue;
    const bool saved = std::any_of(config.modules_to_save.begin(), config.modules_to_save.end(),
                                   [&](const std::string& name) { return names_module(name, module.name); });
    if (saved || excluded.matches(module.name)) continue;
    if (selection.pattern.empty() && !layers.holds(module.name)) continue;
    if (module.kind != ModuleKind::kLinear) refuse_kind(spec, module, in_quotes(selection.pattern), where);
    Target target{module.name, module.in_features, module.out_features, 0, 0, 0};
    target.r = ranks.value_for(module.name, config.r);
    target.alpha = alphas.value_for(module.name, config.lora_alpha);
    const auto r = static_cast<double>(target.r);
    target.scaling = target.alpha / (config.use_rslora ? std::sqrt(r) : r);
    targets.push_back(std::move(target));
  }
  if (targets.empty()) {
    throw runtime::UserError(
        say(where, ": target_modules: ",
            selection.pattern.empty() ? joined(selection.names) : "the expression " + in_quotes(selection.pattern),
            " selects no module of ", spec.architecture, "; its linear layers are ", joined(linear_names(spec)),
            ", with names such as model.layers.0.self_attn.", linear_names(spec).front()));
  }
  return targets;
}

std::vector<std::string> minimal_target_list(const ModelSpec& spec, const std::vector<Target>& targets) {
  std::set<std::string> chosen, suffixes, result;
  for (const Target& target : targets) {
    chosen.insert(target.module);
    suffixes.insert(target.module.substr(target.module.rfind('.') + 1));
  }
  const std::vector<Module> modules = modules_of(spec);
  for (const std::string& suffix : suffixes) {
    const bool only_chosen = std::all_of(modules.begin(), modules.end(), [&](const Module& module) {
      return !names_module(suffix, module.name) || chosen.contains(module.name);
    });
    if (only_chosen) {
      result.insert(suffix);
      continue;
    }
    for (const std::string& name : chosen) {
      if (names_module(suffix, name)) result.insert(name);
    }
  }
  return {result.begin(), result.end()};
}

AdapterConfig saved_config(const ModelSpec& spec, AdapterConfig config, const std::vector<Target>& targets) {
  if (!config.target_modules.is_given || config.target_modules.is_all_linear()) {
    config.target_modules = ModuleSelection::of_names(minimal_target_list(spec, targets));
    // The list says all there is to say.
    config.exclude_modules = {};
    config.layers_to_transform.clear();
    config.layers_pattern.clear();
  }
  config.rank_pattern = saved_patterns(config.rank_pattern, targets, config.r, &Target::r);
  config.alpha_pattern = saved_patterns(config.alpha_pattern, targets, config.lora_alpha, &Target::alpha);
  config.ensure_weight_tying = spec.tie_word_embeddings && !config.modules_to_save.empty();
  config.inference_mode = true;
  return config;
}

}  // namespace cadre::adapter_folder
