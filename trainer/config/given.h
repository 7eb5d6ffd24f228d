// Which keys a map gives, whatever names it used for them: aliases, values spelled as elsewhere, unknown names.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/config/schema.h"
#include "trainer/config/yaml_tree.h"

namespace cadre::config {

// One key as the user gave it.
struct Given {
  const Key* key = nullptr;
  YamlNode node;
  Place place;       // of the name
  std::string name;  // as it was spelled, with the path before it ("datasets.0.ds_type")

  bool on_command_line() const { return place.line == 0; }
  std::string origin() const { return on_command_line() ? "command line" : place.text(); }
};

using GivenKeys = std::map<std::string_view, Given>;  // by Key::name

// What a reader of names needs besides the map: the tables, and where to say which aliases were met.
struct NameScope {
  const Schema& schema;
  std::string path;  // before each name, "" or "datasets.0."
  std::vector<std::string>& notes;
};

// Adds what `entry` gives. UserError: an unknown name, one that is not built, one key given twice with two values.
void read_entry(const NameScope& scope, const YamlEntry& entry, GivenKeys& given);

// The key that `name` stands for; null where it has none of its own.
const Key* key_of(const Schema& schema, std::string_view name);

// The start of a message about `name`: `file:line:column: name: `, or `--name: ` for the command line.
std::string blame(const Place& place, const std::string& name);

// "a list", "nothing", "the text `abc`": what stands at a place where something else was expected.
std::string found(const YamlNode& node);

// `a, b or c`.
std::string join_or(const std::vector<std::string_view>& words);

}  // namespace cadre::config
