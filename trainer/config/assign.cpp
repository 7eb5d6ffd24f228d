#include "trainer/config/assign.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>

#include "runtime/error.h"
#include "trainer/config/suggest.h"
#include "trainer/config/yaml_scalar.h"

namespace cadre::config {
namespace {

using runtime::say;
using runtime::UserError;
using Kind = YamlNode::Kind;
using Names = std::vector<std::string>;

template <typename T>
struct without_optional {
  using type = T;
};
template <typename T>
struct without_optional<std::optional<T>> {
  using type = T;
};

template <typename Owner, typename T>
T member_type(T Owner::*);

// Calls `use(member pointer)` with the member of a key of `Owner`.
template <typename Owner, typename Use>
auto with_member(const Key& key, const Use& use) {
  const auto* members = std::get_if<MemberOf<Owner>>(&key.member);
  CADRE_CHECK(members != nullptr, "key ", key.name, " has no member here");
  return std::visit(use, *members);
}

// The value type of a key, as an empty value of it.
template <typename Use>
auto with_type(const Key& key, const Use& use) {
  const auto by_member = [&](auto member) {
    return use(typename without_optional<decltype(member_type(member))>::type{});
  };
  if (const auto* run = std::get_if<MemberOf<Config>>(&key.member)) return std::visit(by_member, *run);
  if (const auto* dataset = std::get_if<MemberOf<DatasetConfig>>(&key.member)) return std::visit(by_member, *dataset);
  return use(std::vector<DatasetConfig>{});
}

std::string number_text(double number) {
  if (number == static_cast<double>(static_cast<std::int64_t>(number))) return say(static_cast<std::int64_t>(number));
  return write_number(number);
}

std::string range_of(const Limits& limits) {
  const bool low = limits.least > -std::numeric_limits<double>::infinity();
  const bool high = limits.most < std::numeric_limits<double>::infinity();
  std::string text;
  if (low) text += say(limits.above_least ? " above " : high ? " from " : " of at least ", number_text(limits.least));
  if (high)
    text += say(low && limits.above_least ? " and" : "",
                limits.below_most           ? " to below "
                : low && limits.above_least ? " at most "
                                            : " to ",
                number_text(limits.most));
  return text;
}

[[noreturn]] void fail(const Given& given, const YamlNode& node, const std::string& hint = {}) {
  throw UserError(say(blame(node.place, given.name), "expected ", type_of(*given.key), ", found ", found(node), hint));
}

bool is_later(const Key& key, std::string_view value) {
  return std::find(key.later.begin(), key.later.end(), value) != key.later.end();
}

void refuse_later(const Given& given, const YamlNode& node) {
  if (node.kind == Kind::kScalar && is_later(*given.key, node.text))
    throw UserError(
        say(blame(node.place, given.name), "`", node.text, "` is not supported yet; expected ", type_of(*given.key)));
}

bool in_range(double value, const Limits& limits) {
  return (limits.above_least ? value > limits.least : value >= limits.least) &&
         (limits.below_most ? value < limits.most : value <= limits.most);
}

Meaning plain_meaning(const YamlNode& node) {
  return node.kind == Kind::kScalar && node.plain ? meaning_of(node.text) : Meaning::kText;
}

void read(const Given& given, const YamlNode& node, bool& out) {
  refuse_later(given, node);
  if (plain_meaning(node) == Meaning::kBoolean) {
    out = is_true(node.text);
    return;
  }
  if (node.kind == Kind::kScalar && node.plain && is_old_boolean(node.text)) fail(given, node, "; write true or false");
  if (node.kind == Kind::kScalar && !node.plain && meaning_of(node.text) == Meaning::kBoolean)
    fail(given, node, "; remove the quotes");
  fail(given, node);
}

void read(const Given& given, const YamlNode& node, std::int64_t& out) {
  refuse_later(given, node);
  const Meaning meaning = plain_meaning(node);
  if (meaning == Meaning::kNumber) {
    const auto number = number_of(node.text);
    const bool whole =
        number && std::abs(*number) < 1e15 && *number == static_cast<double>(static_cast<std::int64_t>(*number));
    fail(given, node, whole ? say("; write ", static_cast<std::int64_t>(*number)) : "");
  }
  if (meaning != Meaning::kInteger) fail(given, node);
  const auto value = integer_of(node.text);
  if (!value || !in_range(static_cast<double>(*value), given.key->limits)) fail(given, node);
  out = *value;
}

void read(const Given& given, const YamlNode& node, double& out) {
  refuse_later(given, node);
  const Meaning meaning = plain_meaning(node);
  if (meaning != Meaning::kInteger && meaning != Meaning::kNumber) fail(given, node);
  const auto value = number_of(node.text);
  if (!value || !in_range(*value, given.key->limits)) fail(given, node);
  out = *value;
}

void read(const Given& given, const YamlNode& node, std::string& out) {
  if (node.kind != Kind::kScalar) fail(given, node);
  const Key& key = *given.key;
  if (key.choices.empty()) {
    if (plain_meaning(node) != Meaning::kText) fail(given, node, "; put it in quotes if it is meant");
    out = node.text;
    return;
  }
  std::string value = node.text;
  if (plain_meaning(node) == Meaning::kBoolean) value = is_true(value) ? "true" : "false";
  if (std::find(key.choices.begin(), key.choices.end(), value) != key.choices.end()) {
    out = value;
    return;
  }
  YamlNode as_spelled = node;
  as_spelled.text = value;
  refuse_later(given, as_spelled);
  const std::string_view near = nearest(value, key.choices);
  fail(given, node, near.empty() ? "" : say("; did you mean ", near, "?"));
}

void read(const Given& given, const YamlNode& node, Names& out) {
  const Key& key = *given.key;
  Names names;
  const auto add = [&](const YamlNode& item) {
    if (item.kind != Kind::kScalar || plain_meaning(item) != Meaning::kText || item.text.empty())
      throw UserError(say(blame(item.place, given.name), "expected a name, found ",
                          item.kind == Kind::kScalar && item.text.empty() ? "an empty one" : found(item),
                          "; write names, as in [q_proj, v_proj]"));
    refuse_later(given, item);
    if (!key.choices.empty() && std::find(key.choices.begin(), key.choices.end(), item.text) == key.choices.end())
      fail(given, item);
    names.push_back(item.text);
  };
  if (node.kind == Kind::kList) {
    for (const YamlNode& item : node.items) add(item);
  } else if (node.kind == Kind::kScalar && key.text_or_list) {
    add(node);
  } else if (node.kind == Kind::kScalar) {
    fail(given, node, say("; write [", shown(node.text), "]"));
  } else {
    fail(given, node);
  }
  out = std::move(names);
}

template <typename Owner>
void assign_to(Owner& owner, const Given& given) {
  if (given.node.kind == Kind::kNull) return;
  with_member<Owner>(*given.key, [&](auto member) {
    typename without_optional<decltype(member_type(member))>::type value{};
    read(given, given.node, value);
    owner.*member = std::move(value);
  });
}

std::string write(const Key&, bool value) {
  return value ? "true" : "false";
}
std::string write(const Key&, std::int64_t value) {
  return say(value);
}
std::string write(const Key&, double value) {
  return write_number(value);
}
std::string write(const Key& key, const std::string& value) {
  // Choices are compared as text: true and auto need no quotes.
  return key.choices.empty() || value.empty() ? write_text(value) : value;
}
std::string write(const Key& key, const Names& names) {
  if (names.empty()) return key.choices.empty() ? "null" : "[]";
  std::string out = "[";
  for (const std::string& name : names) out += (out.size() > 1 ? ", " : "") + write_text(name);
  return out + "]";
}
template <typename T>
std::string write(const Key& key, const std::optional<T>& value) {
  return value ? write(key, *value) : "null";
}

template <typename Owner>
std::string write_member(const Owner& owner, const Key& key) {
  return with_member<Owner>(key, [&](auto member) { return write(key, owner.*member); });
}

}  // namespace

void assign(Config& config, const Given& given) {
  assign_to(config, given);
  if (given.key->name == "lora_target_modules" && given.node.kind != Kind::kNull)
    config.lora_target_is_list = given.node.kind == Kind::kList;
}

void assign(DatasetConfig& dataset, const Given& given) {
  assign_to(dataset, given);
}

std::string written(const Config& config, const Key& key) {
  if (key.name == "lora_target_modules" && !config.lora_target_is_list && config.lora_target_modules.size() == 1)
    return write_text(config.lora_target_modules.front());
  return write_member(config, key);
}

std::string written(const DatasetConfig& dataset, const Key& key) {
  return write_member(dataset, key);
}

std::string type_of(const Key& key) {
  return with_type(key, [&](auto value) -> std::string {
    using T = decltype(value);
    if constexpr (std::is_same_v<T, bool>) return "true or false";
    if constexpr (std::is_same_v<T, std::int64_t>) return "an integer" + range_of(key.limits);
    if constexpr (std::is_same_v<T, double>) return "a number" + range_of(key.limits);
    if constexpr (std::is_same_v<T, std::string>) return key.choices.empty() ? "a text" : join_or(key.choices);
    if constexpr (std::is_same_v<T, Names>) {
      if (!key.choices.empty()) return say("a list of ", join_or(key.choices));
      return key.text_or_list ? "a text or a list of texts" : "a list of texts";
    }
    return "a list of maps with path and type";
  });
}

bool is_free_text(const Key& key) {
  return key.choices.empty() && with_type(key, [](auto value) { return std::is_same_v<decltype(value), std::string>; });
}

bool is_dataset_list(const Key& key) {
  return std::holds_alternative<std::vector<DatasetConfig> Config::*>(key.member);
}

}  // namespace cadre::config
