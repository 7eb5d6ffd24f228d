// YAML text as a tree of plain values with the place of each: what yaml-cpp parses, after bounds on depth, number of
// values and bytes, and with duplicate keys refused. The scalars stay text; yaml_scalar.h says what they mean.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace cadre::config {

inline constexpr int kMaxDepth = 32;
inline constexpr std::size_t kMaxYamlBytes = 4u << 20;       // of a file
inline constexpr std::size_t kMaxExpandedBytes = 16u << 20;  // of all scalars, aliases expanded
inline constexpr std::size_t kMaxLookAhead = 512u << 10;     // bytes from one event of the parser to the next
inline constexpr std::size_t kMaxValues = 100'000;           // aliases expanded

// Where a value was written. Line 0: not in a file, and `source` is the whole of it ("--learning_rate").
struct Place {
  std::shared_ptr<const std::string> source;
  int line = 0, column = 0;  // from 1; the column counts bytes

  std::string text() const;
};

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  bool plain = true;  // a scalar written without quotes: it may be a number or a truth value
  std::string text;   // of a scalar
  Place place;
  std::vector<YamlNode> items;     // of a list
  std::vector<YamlEntry> entries;  // of a map, in the order of the text
};

struct YamlEntry {
  std::string key;
  Place place;  // of the key
  YamlNode value;
};

// The one document of `text`; `where` names the text in errors, all UserError. An empty text is an error too.
YamlNode parse_yaml(const std::string& text, const std::string& where);

// The same for a value on the command line: every place is `where` alone, and an empty text is a null.
YamlNode parse_yaml_value(const std::string& text, const std::string& where);

// A text on the command line, taken as it stands. UserError: not UTF-8, control characters.
YamlNode text_value(const std::string& text, const std::string& where);

// `text` for a message of one line: cut where longer than `longest` bytes, control characters replaced.
std::string shown(const std::string& text, std::size_t longest = 80);
inline constexpr std::size_t kLongestPath = 4096;  // the name of a file is shown whole

}  // namespace cadre::config
