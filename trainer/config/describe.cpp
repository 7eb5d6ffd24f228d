// A configuration as text for people: --dry-run's YAML, and the keys for --help.
#include <algorithm>
#include <string>
#include <string_view>

#include "runtime/error.h"
#include "trainer/config/assign.h"
#include "trainer/config/load.h"
#include "trainer/config/schema.h"

namespace cadre::config {
namespace {

struct Line {
  std::string text, origin;
};

// How many columns `text` takes: its characters, counted as UTF-8 leads.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string describe(const Resolved& resolved) {
  std::vector<Line> lines;
  std::string list, item;  // those that the last line belongs to
  for (const Resolved::Entry& entry : resolved.entries) {
    const std::size_t first = entry.key.find('.'), last = entry.key.rfind('.');
    if (first == std::string::npos) {
      lines.push_back({runtime::say(entry.key, ": ", entry.value), entry.origin});
      continue;
    }
    const std::string here = entry.key.substr(0, last);
    if (entry.key.compare(0, first, list) != 0) lines.push_back({(list = entry.key.substr(0, first)) + ":", ""});
    lines.push_back(
        {runtime::say(here == item ? "    " : "  - ", entry.key.substr(last + 1), ": ", entry.value), entry.origin});
    item = here;
  }
  constexpr std::size_t kWidest = 60;  // a longer value has its comment right behind it
  std::size_t column = 0;
  for (const Line& line : lines)
    if (const std::size_t width = width_of(line.text); width <= kWidest) column = std::max(column, width);
  std::string out;
  for (const Line& line : lines) {
    out += line.text;
    if (!line.origin.empty()) {
      const std::size_t width = width_of(line.text);
      out.append(width < column ? column - width : 0, ' ');
      out += "  # " + line.origin;
    }
    out += '\n';
  }
  return out;
}

std::vector<KeyDescription> describe_keys() {
  static const Config run_defaults;
  static const DatasetConfig dataset_defaults;
  std::vector<KeyDescription> keys;
  for (const Key& key : run_schema().keys) {
    if (!is_dataset_list(key)) {
      keys.push_back({std::string(key.name), type_of(key), written(run_defaults, key), std::string(key.doc)});
      continue;
    }
    keys.push_back({std::string(key.name), type_of(key), "[]", std::string(key.doc)});
    if (key.name != "datasets") continue;
    for (const Key& field : dataset_schema().keys)
      keys.push_back({runtime::say("datasets.N.", field.name), type_of(field), written(dataset_defaults, field),
                      std::string(field.doc)});
  }
  return keys;
}

}  // namespace cadre::config
