#include "trainer/data/json_text.h"

#include <algorithm>
#include <unordered_set>

#include "runtime/error.h"
#include "trainer/data/row_reader.h"

namespace cadre::data {
namespace {

// The end of the string whose opening quote is text[begin], npos where it has none.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  for (std::size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return i + 1;
  }
  return std::string_view::npos;
}

// Of text that is valid JSON: the members of all its objects, which is the colons outside strings.
std::size_t members_in_text(std::string_view text) {
  std::size_t members = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"')
      i = end_of_string(text, i) - 1;
    else if (text[i] == ':')
      ++members;
  }
  return members;
}

// Recursion is bounded by kMaxJsonDepth.
std::size_t members_in_value(const boost::json::value& value) {
  std::size_t members = 0;
  if (const auto* object = value.if_object()) {
    members = object->size();
    for (const auto& member : *object) members += members_in_value(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) members += members_in_value(element);
  }
  return members;
}

// The first key that an object of this valid text repeats, as it is spelled there; empty where the two are spelled
// differently ("a" and "\u0061").
std::string_view repeated_key(std::string_view text) {
  std::vector<std::unordered_set<std::string_view>> open;
  std::string_view last_string;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      const std::size_t end = end_of_string(text, i);
      last_string = text.substr(i + 1, end - i - 2);
      i = end - 1;
    } else if (c == '{' || c == '[') {
      open.emplace_back();
    } else if (c == '}' || c == ']') {
      open.pop_back();
    } else if (c == ':' && !open.back().insert(last_string).second) {
      return last_string;
    }
  }
  return {};
}

[[noreturn]] void fail(const JsonPlace& place, const std::string& message) {
  if (place.where.empty()) throw runtime::UserError(message);
  fail_row(std::string(place.where), place.number, message);
}

}  // namespace

std::size_t skip_space(std::string_view text, std::size_t begin) {
  while (begin < text.size() &&
         (text[begin] == ' ' || text[begin] == '\n' || text[begin] == '\r' || text[begin] == '\t'))
    ++begin;
  return begin;
}

std::size_t end_of_value(std::string_view text, std::size_t begin) {
  std::size_t depth = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      i = end_of_string(text, i);
      if (i == std::string_view::npos) return i;
      if (depth == 0) return i;
      --i;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return std::string_view::npos;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return i;  // a scalar's end
      if (--depth == 0) return i + 1;
    } else if (depth == 0 && (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
      return i;
    }
  }
  return depth == 0 ? text.size() : std::string_view::npos;
}

boost::json::value parse_json(std::string_view text, const JsonPlace& place) {
  if (text.size() > kMaxRowBytes)
    fail(place, runtime::say(place.what, " has ", text.size(), " bytes, at most ", kMaxRowBytes, " are read"));
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::json::parser parser({}, options);
  boost::json::error_code error;
  const std::size_t read = parser.write(text.data(), text.size(), error);
  if (error == boost::json::error::incomplete)
    fail(place, runtime::say(place.what, " ends in the middle of its JSON value: ",
                             excerpt(text.substr(text.size() - std::min<std::size_t>(text.size(), 30))),
                             "; the file may have been cut off"));
  if (error == boost::json::error::too_deep)
    fail(place, runtime::say(place.what, " is nested deeper than ", kMaxJsonDepth, " levels"));
  if (error)
    fail(place, runtime::say(place.what, " is not valid JSON at byte ", read + 1, " (", error.message(),
                             "): ", excerpt(text.substr(std::min(read, text.size())))));
  boost::json::value value = parser.release();
  if (members_in_text(text) != members_in_value(value))
    fail(place, runtime::say(place.what, " has an object with the key ", excerpt(repeated_key(text)),
                             " more than once; keep one"));
  return value;
}

}  // namespace cadre::data
