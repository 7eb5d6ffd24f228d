#include "trainer/config/given.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/error.h"
#include "trainer/config/suggest.h"
#include "trainer/config/yaml_scalar.h"

namespace cadre::config {
namespace {

using runtime::say;
using runtime::UserError;
using Kind = YamlNode::Kind;

bool contains(const std::vector<std::string_view>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool same_value(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind) return false;
  if (a.kind == Kind::kScalar) {
    if (a.text == b.text) return true;
    const auto is_number = [](const YamlNode& node) {
      const Meaning meaning = meaning_of(node.text);
      return node.plain && (meaning == Meaning::kInteger || meaning == Meaning::kNumber);
    };
    return is_number(a) && is_number(b) && number_of(a.text) && number_of(a.text) == number_of(b.text);
  }
  const auto same_entry = [](const YamlEntry& x, const YamlEntry& y) {
    return x.key == y.key && same_value(x.value, y.value);
  };
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same_value) &&
         std::equal(a.entries.begin(), a.entries.end(), b.entries.begin(), b.entries.end(), same_entry);
}

// A scalar as the tables spell it: "~" for a null, truth values in lower case. None for lists and maps.
std::optional<std::string> table_value(const YamlNode& node) {
  if (node.kind == Kind::kNull) return "~";
  if (node.kind != Kind::kScalar) return std::nullopt;
  if (node.plain && meaning_of(node.text) == Meaning::kBoolean) return is_true(node.text) ? "true" : "false";
  return node.text;
}

bool is_neutral(const YamlNode& node, const std::vector<std::string_view>& neutral) {
  switch (node.kind) {
    case Kind::kNull:
      return true;
    case Kind::kScalar: {
      if (contains(neutral, *table_value(node))) return true;
      const auto number = node.plain ? number_of(node.text) : std::nullopt;
      return number && std::any_of(neutral.begin(), neutral.end(),
                                   [&](std::string_view word) { return number_of(word) == number; });
    }
    case Kind::kList:
      return std::all_of(node.items.begin(), node.items.end(),
                         [&](const YamlNode& item) { return is_neutral(item, neutral); });
    case Kind::kMap:
      return node.entries.empty();
  }
  return false;
}

void refuse_unless_neutral(const NotBuilt& row, const YamlNode& node, const Place& place, const std::string& name) {
  if (is_neutral(node, row.neutral)) return;
  throw UserError(say(blame(place, name), row.planned ? "not supported yet; " : "", row.instead));
}

std::string spelled(const std::string& name, const YamlNode& node) {
  const auto value = table_value(node);
  return say("`", shown(name), ":", value && *value != "~" ? " " + shown(*value) : "", "`");
}

std::vector<std::string_view> values_of(const Schema& schema, std::string_view name) {
  std::vector<std::string_view> values;
  for (const Translation& row : schema.translations)
    if (row.name == name) values.push_back(row.value);
  return values;
}

// `q_proj,v_proj` as the list that it stands for.
YamlNode split_at_commas(const YamlNode& node) {
  YamlNode list;
  list.kind = Kind::kList;
  list.place = node.place;
  for (std::size_t from = 0; from <= node.text.size();) {
    const std::size_t comma = std::min(node.text.find(',', from), node.text.size());
    std::string_view item = std::string_view(node.text).substr(from, comma - from);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    YamlNode& added = list.items.emplace_back();
    added.kind = Kind::kScalar;
    added.text = item;
    added.plain = false;
    added.place = node.place;
    from = comma + 1;
  }
  return list;
}

void add(Given one, GivenKeys& given) {
  const auto [existing, is_new] = given.try_emplace(one.key->name, one);
  if (is_new || one.node.kind == Kind::kNull) return;
  if (existing->second.node.kind == Kind::kNull) {
    existing->second = std::move(one);
    return;
  }
  if (same_value(existing->second.node, one.node)) return;
  throw UserError(say(blame(one.place, one.name), "says another value than ", existing->second.name, " (",
                      existing->second.place.text(), "), and both mean ", one.key->name, "; keep one of the two"));
}

[[noreturn]] void unknown(const NameScope& scope, const YamlEntry& entry) {
  const bool option = entry.place.line == 0 && scope.path.empty();
  const std::string_view near = nearest(entry.key, scope.schema.names());
  throw UserError(say(blame(entry.place, scope.path + shown(entry.key)), option ? "unknown option" : "unknown key",
                      near.empty() ? "" : say("; did you mean ", option ? "--" : "", scope.path, near, "?")));
}

void translate(const NameScope& scope, const Translation& row, const YamlEntry& entry, GivenKeys& given) {
  YamlNode node = row.to == "~" ? YamlNode{} : parse_yaml_value(std::string(row.to), std::string(row.name));
  for (YamlNode& item : node.items) item.place = entry.value.place;
  node.place = entry.value.place;
  const std::string name = scope.path + entry.key;
  if (const Key* key = scope.schema.find(row.key)) {
    scope.notes.push_back(say(spelled(name, entry.value), " (", entry.place.text(), ") is read as `", scope.path,
                              key->name, ": ", row.to, "`"));
    add({.key = key, .node = std::move(node), .place = entry.place, .name = name}, given);
    return;
  }
  for (const NotBuilt& other : scope.schema.not_built)
    if (other.name == row.key) refuse_unless_neutral(other, node, entry.place, name);
}

}  // namespace

const Key* key_of(const Schema& schema, std::string_view name) {
  if (const Key* key = schema.find(name)) return key;
  for (const Key& key : schema.keys)
    if (contains(key.aliases, name)) return &key;
  return nullptr;
}

std::string blame(const Place& place, const std::string& name) {
  const std::string where = place.text();
  if (place.line > 0) return say(where, ": ", name, ": ");
  std::string option = where;
  std::replace(option.begin() + std::min<std::ptrdiff_t>(2, std::ssize(option)), option.end(), '-', '_');
  std::string plain = name;
  std::replace(plain.begin(), plain.end(), '-', '_');
  return option == "--" + plain ? where + ": " : say(where, ": ", name, ": ");
}

std::string found(const YamlNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kScalar:
      break;
  }
  if (!node.plain) return say("the text \"", shown(node.text), "\"");
  switch (meaning_of(node.text)) {
    case Meaning::kInteger:
    case Meaning::kNumber:
      return say("the number ", shown(node.text));
    case Meaning::kBoolean:
      return say("the truth value ", node.text);
    default:
      return say("the text `", shown(node.text), "`");
  }
}

std::string join_or(const std::vector<std::string_view>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

void read_entry(const NameScope& scope, const YamlEntry& entry, GivenKeys& given) {
  const Schema& schema = scope.schema;
  const Key* const key = key_of(schema, entry.key);
  const std::string_view name = key ? key->name : std::string_view(entry.key);
  const std::string full_name = scope.path + entry.key;

  bool translated = false;
  if (const auto value = table_value(entry.value))
    for (const Translation& row : schema.translations)
      if (row.name == name && row.value == *value) {
        translated = true;
        if (!row.key.empty()) translate(scope, row, entry, given);
      }
  if (translated) return;

  if (key) {
    if (entry.key != key->name && entry.value.kind != Kind::kNull)
      scope.notes.push_back(
          say("`", full_name, "` (", entry.place.text(), ") is read as `", scope.path, key->name, "`"));
    const bool with_commas = entry.value.kind == Kind::kScalar && contains(schema.comma_lists, entry.key) &&
                             entry.value.text != "all-linear";
    add({.key = key,
         .node = with_commas ? split_at_commas(entry.value) : entry.value,
         .place = entry.place,
         .name = full_name},
        given);
    return;
  }
  if (const auto values = values_of(schema, name); !values.empty()) {
    if (entry.value.kind == Kind::kNull) return;
    throw UserError(
        say(blame(entry.value.place, full_name), "expected ", join_or(values), ", found ", found(entry.value)));
  }
  for (const NotBuilt& row : schema.not_built)
    if (row.name == name) return refuse_unless_neutral(row, entry.value, entry.place, full_name);
  unknown(scope, entry);
}

}  // namespace cadre::config
