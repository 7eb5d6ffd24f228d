// What a configuration may say, as tables: every key with its type, limits, choices, aliases and one line of
// documentation. Reading, "did you mean", overrides, --dry-run and --help all follow from them; defaults are those of
// config.h's members.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "trainer/config/config.h"

namespace cadre::config {

template <typename Owner>
using MemberOf = std::variant<bool Owner::*, std::int64_t Owner::*, double Owner::*, std::string Owner::*,
                              std::optional<std::int64_t> Owner::*, std::optional<double> Owner::*,
                              std::optional<std::string> Owner::*, std::vector<std::string> Owner::*>;

using Member = std::variant<MemberOf<Config>, MemberOf<DatasetConfig>, std::vector<DatasetConfig> Config::*>;

// Both ends included, unless said otherwise. For numbers only.
struct Limits {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool above_least = false, below_most = false;  // the end itself is out
};

struct Key {
  std::string_view name;
  Member member;
  std::string_view doc;
  Limits limits = {};
  std::vector<std::string_view> choices = {};  // of a text or of a list's items; empty: any
  std::vector<std::string_view> later = {};    // known elsewhere, refused with "not supported yet"
  std::vector<std::string_view> aliases = {};
  bool text_or_list = false;                         // a list of names that may be one text too; Config remembers which
  bool adapter_only = false;                         // says nothing without an adapter
  std::vector<std::string_view> dataset_types = {};  // the types of dataset that it belongs to; empty: all
};

// `name: value` says the same as `key: to`. Value "~" is null; an empty key: nothing is said. `name` may be a key of
// ours (a value spelled differently) or another name.
struct Translation {
  std::string_view name, value, key, to;
};

// A known name that nothing stands behind yet, or never will: accepted only where it says what is the case anyway
// (null, empty and the `neutral` values).
struct NotBuilt {
  std::string_view name;
  std::vector<std::string_view> neutral;
  std::string_view instead;  // what to do, after "not supported yet" or alone
  bool planned = true;       // false: refused for good, `instead` says why
};

struct Schema {
  std::vector<Key> keys;
  std::vector<Translation> translations;
  std::vector<NotBuilt> not_built;
  std::vector<std::string_view> comma_lists;  // aliases whose text is a list with commas

  const Key* find(std::string_view name) const;  // by its own name only
  std::vector<std::string_view> names() const;   // all that are known: keys first, then aliases and the rest
};

const Schema& run_schema();
const Schema& dataset_schema();

}  // namespace cadre::config
