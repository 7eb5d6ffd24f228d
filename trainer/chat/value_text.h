// Values as text: Python's str(), repr() and json.dumps(), with the origin of every byte.
#pragma once

#include <optional>
#include <string>

#include "trainer/chat/value.h"

namespace cadre::chat {

std::string integer_text(Integer value);
std::string float_text(double value);  // as Python's repr

// Failure for what prints an address (functions, generators): not the same in two runs.
Text to_text(const Value& value);
Text to_repr(const Value& value);
// `bytes` quoted as repr() does.
Text quoted(const Text& text);

struct JsonOptions {
  bool ensure_ascii = false, sort_keys = false;
  std::optional<std::string> indent;  // of one level
  std::string item_separator = ", ", key_separator = ": ";
};
Text to_json(const Value& value, const JsonOptions& options);

}  // namespace cadre::chat
