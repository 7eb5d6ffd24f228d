#include "trainer/config/load.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/config/assign.h"
#include "trainer/config/given.h"
#include "trainer/config/rules.h"
#include "trainer/config/schema.h"
#include "trainer/config/suggest.h"
#include "trainer/config/yaml_scalar.h"
#include "trainer/config/yaml_tree.h"

namespace cadre::config {
namespace {

using runtime::say;
using runtime::UserError;
using Kind = YamlNode::Kind;

// An override's key in parts; `option` is how it was typed, for messages.
struct Option {
  std::string option;
  std::vector<std::string> path;
  std::string value;
};

Option option_of(const Override& given) {
  std::string key = given.key;
  key.erase(0, std::min(key.find_first_not_of('-'), key.size()));
  Option option{.option = "--" + shown(key), .path = {""}, .value = given.value};
  for (const char c : key) {
    if (c == '.')
      option.path.emplace_back();
    else
      option.path.back() += c == '-' ? '_' : c;
  }
  return option;
}

// A key that takes any text takes the command line's words as they stand, unless they are quoted as YAML; other values
// are YAML.
YamlNode value_of(const Option& option, const Key* key) {
  const std::string& text = option.value;
  if (text.size() > kMaxYamlBytes) throw UserError(say(option.option, ": a value of more than 4 MB"));
  if (key && is_free_text(*key)) {
    const bool quoted = text.size() >= 2 && (text[0] == '"' || text[0] == '\'') && text.back() == text[0];
    if (quoted || meaning_of(text) == Meaning::kNull) return parse_yaml_value(text, option.option);
    return text_value(text, option.option);
  }
  // A regular expression need not be YAML: `.*\.[qv]_proj` is, `[qv]_proj` is not.
  if (key && key->text_or_list && key->choices.empty()) {
    try {
      YamlNode node = parse_yaml_value(text, option.option);
      if (node.kind != Kind::kMap) return node;
    } catch (const UserError&) {
    }
    return text_value(text, option.option);
  }
  return parse_yaml_value(text, option.option);
}

[[noreturn]] void unknown_option(const Option& option, std::string_view suggestion) {
  throw UserError(
      say(option.option, ": unknown option", suggestion.empty() ? "" : say("; did you mean --", suggestion, "?")));
}

Place place_of(const Option& option) {
  return {.source = std::make_shared<const std::string>(option.option)};
}

// Sets `datasets.0.path` or `datasets.0` in the list that the file gave.
void set_in_dataset(const Option& option, YamlNode& list) {
  const std::string& name = option.path[0];
  const std::string& number = option.path[1];
  const Schema& schema = dataset_schema();
  const bool digits = !number.empty() && number.size() <= 6 && meaning_of(number) == Meaning::kInteger &&
                      std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) unknown_option(option, say(name, ".0.path"));
  if (list.kind == Kind::kNull) list.kind = Kind::kList, list.place = place_of(option);
  if (list.kind != Kind::kList)
    throw UserError(say(blame(list.place, name), "expected a list of maps with path and type, found ", found(list)));
  const auto index = static_cast<std::size_t>(*integer_of(number));
  if (index > list.items.size())
    throw UserError(say(option.option, ": there are ", list.items.size(), " ", name, "; the next is ", name, ".",
                        list.items.size()));
  if (index == list.items.size()) {
    list.items.emplace_back().kind = Kind::kMap;
    list.items.back().place = place_of(option);
  }
  YamlNode& dataset = list.items[index];
  if (option.path.size() == 2) {
    dataset = value_of(option, nullptr);
    return;
  }
  if (dataset.kind != Kind::kMap)
    throw UserError(say(blame(dataset.place, say(name, ".", index)), "expected a map, found ", found(dataset)));
  const Key* const key = key_of(schema, option.path[2]);
  if (option.path.size() > 3 || (!key && nearest(option.path[2], schema.names()) != option.path[2])) {
    const std::string_view near = nearest(option.path[2], schema.names());
    unknown_option(option, near.empty() ? "" : say(name, ".", index, ".", near));
  }
  // The command line wins, whatever the file calls the same key.
  std::erase_if(dataset.entries, [&](const YamlEntry& entry) {
    return entry.key == option.path[2] || (key && key_of(schema, entry.key) == key);
  });
  dataset.entries.push_back({.key = option.path[2], .place = place_of(option), .value = value_of(option, key)});
}

class Loader {
 public:
  Loader(std::string where, std::int64_t ranks) : where_(std::move(where)), ranks_(ranks) {}

  Resolved load(const YamlNode& root, const std::vector<Override>& overrides) {
    if (root.kind != Kind::kMap)
      throw UserError(say(root.place.text(), ": expected a map of keys, found ", found(root),
                          "; write lines as base_model: /models/Llama-3.1-8B"));
    NameScope scope{.schema = run_schema(), .path = "", .notes = out_.notes};
    for (const YamlEntry& entry : root.entries) read_entry(scope, entry, given_);
    apply(overrides);
    Config& config = out_.config;
    for (const Key& key : run_schema().keys) {
      const auto found = given_.find(key.name);
      if (found == given_.end()) continue;
      if (is_dataset_list(key)) {
        auto& datasets = key.name == "datasets" ? datasets_ : test_datasets_;
        datasets = read_datasets(found->second);
        for (const Dataset& one : datasets)
          (config.*std::get<std::vector<DatasetConfig> Config::*>(key.member)).push_back(one.config);
      } else {
        assign(config, found->second);
      }
    }
    Derivation derivation = derive(config, given_, where_, ranks_);
    out_.notes.insert(out_.notes.end(), derivation.notes.begin(), derivation.notes.end());
    list_entries(derivation);
    return std::move(out_);
  }

 private:
  struct Dataset {
    DatasetConfig config;
    GivenKeys given;
  };

  void apply(const std::vector<Override>& overrides) {
    GivenKeys above;
    NameScope scope{.schema = run_schema(), .path = "", .notes = out_.notes};
    std::vector<Option> nested;
    std::map<std::string, Option> top;  // the last of several under one name
    std::vector<std::string> order;
    for (const Override& given : overrides) {
      Option option = option_of(given);
      if (option.path.size() > 1) {
        if (option.path[0] != "datasets" && option.path[0] != "test_datasets") {
          const std::string_view near = nearest(option.path[0], {"datasets", "test_datasets"});
          unknown_option(option, near.empty() ? "" : option_name(near, option));
        }
        nested.push_back(std::move(option));
      } else {
        const std::string name = option.path[0];
        if (!top.contains(name)) order.push_back(name);
        top[name] = std::move(option);
      }
    }
    for (const std::string& name : order) {
      const Option& option = top.at(name);
      read_entry(scope, {.key = name, .place = place_of(option), .value = value_of(option, key_of(run_schema(), name))},
                 above);
    }
    drop_rivals(given_, above, out_.notes);
    for (auto& [name, one] : above) given_[name] = std::move(one);
    for (const Option& option : nested) {
      const Key* const key = run_schema().find(option.path[0]);
      const auto [found, is_new] = given_.try_emplace(key->name);
      if (is_new) found->second = {.key = key, .node = {}, .place = place_of(option), .name = std::string(key->name)};
      set_in_dataset(option, found->second.node);
    }
  }

  static std::string option_name(std::string_view first, const Option& option) {
    std::string name(first);
    for (std::size_t i = 1; i < option.path.size(); ++i) name += "." + shown(option.path[i]);
    return name;
  }

  std::vector<Dataset> read_datasets(const Given& given) {
    std::vector<Dataset> datasets;
    if (given.node.kind == Kind::kNull) return datasets;
    if (given.node.kind != Kind::kList)
      throw UserError(say(blame(given.node.place, given.name), "expected ", type_of(*given.key), ", found ",
                          found(given.node), "; write - path: data/train.jsonl"));
    constexpr std::size_t kMost = 1000;
    if (given.node.items.size() > kMost)
      throw UserError(say(blame(given.node.place, given.name), "expected at most ", kMost, " files, found ",
                          given.node.items.size()));
    for (const YamlNode& item : given.node.items) {
      const std::string name = say(given.name, ".", datasets.size());
      if (item.kind != Kind::kMap)
        throw UserError(say(blame(item.place, name), "expected a map with path and type, found ", found(item)));
      Dataset& dataset = datasets.emplace_back();
      NameScope scope{.schema = dataset_schema(), .path = name + ".", .notes = out_.notes};
      for (const YamlEntry& entry : item.entries) read_entry(scope, entry, dataset.given);
      for (const Key& key : dataset_schema().keys)
        if (const auto found = dataset.given.find(key.name); found != dataset.given.end())
          assign(dataset.config, found->second);
      check_dataset(dataset.config, dataset.given, name, item.place);
    }
    return datasets;
  }

  void list_entries(const Derivation& derivation) {
    for (const Key& key : run_schema().keys) {
      if (is_dataset_list(key)) {
        list_datasets(key, key.name == "datasets" ? datasets_ : test_datasets_);
        continue;
      }
      const auto given = given_.find(key.name);
      const auto derived = derivation.origins.find(key.name);
      const bool is_given = given != given_.end() && given->second.node.kind != Kind::kNull;
      out_.entries.push_back({.key = std::string(key.name),
                              .value = written(out_.config, key),
                              .origin = derived != derivation.origins.end() ? derived->second
                                        : is_given                          ? given->second.origin()
                                                                            : "default"});
    }
  }

  void list_datasets(const Key& key, const std::vector<Dataset>& datasets) {
    if (datasets.empty()) out_.entries.push_back({.key = std::string(key.name), .value = "[]", .origin = "default"});
    for (std::size_t i = 0; i < datasets.size(); ++i)
      for (const Key& field : dataset_schema().keys) {
        const auto given = datasets[i].given.find(field.name);
        if (given == datasets[i].given.end() || given->second.node.kind == Kind::kNull) continue;
        out_.entries.push_back({.key = say(key.name, ".", i, ".", field.name),
                                .value = written(datasets[i].config, field),
                                .origin = given->second.origin()});
      }
  }

  std::string where_;
  std::int64_t ranks_;
  GivenKeys given_;
  std::vector<Dataset> datasets_, test_datasets_;
  Resolved out_;
};

}  // namespace

Resolved load(const std::filesystem::path& file, const std::vector<Override>& overrides, std::int64_t ranks) {
  return load_text(runtime::read_file(file, kMaxYamlBytes), file.string(), overrides, ranks);
}

Resolved load_text(const std::string& text, const std::string& where, const std::vector<Override>& overrides,
                   std::int64_t ranks) {
  return Loader(shown(where, kLongestPath), ranks).load(parse_yaml(text, where), overrides);
}

}  // namespace cadre::config
