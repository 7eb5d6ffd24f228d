#include "trainer/model_folder/json_fields.h"

#include <boost/json/parser.hpp>
#include <boost/json/serializer.hpp>
#include <cmath>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "runtime/quote.h"

namespace cadre::model_folder {
namespace {

using runtime::say;
namespace json = boost::json;

constexpr std::size_t kMaxDepth = 32;

std::optional<double> as_number(const json::value& value) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  return std::nullopt;
}

std::optional<double> number_within(const json::value& value, NumberRange range) {
  const std::optional<double> number = as_number(value);
  if (!number || !std::isfinite(*number) || *number < range.least || *number > range.most) return std::nullopt;
  return number;
}

std::string describe(NumberRange range) {
  const double limit = std::numeric_limits<double>::max();
  if (range.least == -limit && range.most == limit) return "a number";
  if (range.most == limit) return say("a number of at least ", range.least);
  return say("a number from ", range.least, " to ", range.most);
}

}  // namespace

json::object parse_json_object(std::string_view text, const std::string& where) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::parser parser({}, options);
  json::error_code code;
  const std::size_t read = parser.write_some(text.data(), text.size(), code);
  if (!code && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos) code = json::error::extra_data;
  if (code) {
    std::size_t line = 1, column = 1;
    for (const char letter : text.substr(0, read)) {
      column = letter == '\n' ? 1 : column + 1;
      line += letter == '\n';
    }
    throw runtime::UserError(say(where, ":", line, ":", column, ": not valid JSON: ", code.message()));
  }
  json::value value = parser.release();
  if (!value.is_object()) throw runtime::UserError(say(where, ": expected a JSON object, found ", short_json(value)));
  return std::move(value.get_object());
}

const json::value* JsonFields::find(std::string_view name) const {
  const json::value* value = object_.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool JsonFields::is_null(std::string_view name) const {
  const json::value* value = object_.if_contains(json::string_view(name.data(), name.size()));
  return value != nullptr && value->is_null();
}

std::optional<std::int64_t> JsonFields::integer(std::string_view name, IntegerRange range) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_int64() || value->get_int64() < range.least || value->get_int64() > range.most) {
    expected(name, range.most == std::numeric_limits<std::int64_t>::max()
                       ? say("a whole number of at least ", range.least)
                       : say("a whole number from ", range.least, " to ", range.most));
  }
  return value->get_int64();
}

std::optional<double> JsonFields::number(std::string_view name, NumberRange range) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<double> number = number_within(*value, range);
  if (!number) expected(name, describe(range));
  return number;
}

std::optional<bool> JsonFields::flag(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) expected(name, "true or false");
  return value->get_bool();
}

std::optional<std::string> JsonFields::text(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) expected(name, "a text");
  return std::string(value->get_string());
}

std::optional<std::vector<double>> JsonFields::numbers(std::string_view name, NumberRange range) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) expected(name, "a list of numbers");
  std::vector<double> result;
  for (const json::value& entry : value->get_array()) {
    const std::optional<double> number = number_within(entry, range);
    if (!number) fail(name, say("expected ", describe(range), " in every place, found ", short_json(entry)));
    result.push_back(*number);
  }
  return result;
}

std::optional<std::vector<std::string>> JsonFields::texts(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) expected(name, "a list of texts");
  std::vector<std::string> result;
  for (const json::value& entry : value->get_array()) {
    if (!entry.is_string()) fail(name, say("expected a text in every place, found ", short_json(entry)));
    result.emplace_back(entry.get_string());
  }
  return result;
}

std::optional<JsonFields> JsonFields::object(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) expected(name, "an object");
  return JsonFields(value->get_object(), where_, prefix_ + std::string(name) + ".");
}

void JsonFields::fail(std::string_view name, const std::string& message) const {
  throw runtime::UserError(say(where_, ": ", prefix_, name, ": ", message));
}

void JsonFields::expected(std::string_view name, const std::string& what) const {
  const json::value* value = find(name);
  fail(name, say("expected ", what, ", found ", value == nullptr ? "nothing" : short_json(*value)));
}

std::string short_json(const json::value& value) {
  constexpr std::size_t kMaxBytes = 60;
  // Printed piece by piece, so that a huge value costs nothing.
  json::serializer serializer;
  if (as_number(value)) return runtime::json_line(value);
  serializer.reset(&value);
  char buffer[kMaxBytes + 1];
  const json::string_view part = serializer.read(buffer, sizeof buffer);
  if (part.size() <= kMaxBytes) return std::string(part);
  std::size_t end = kMaxBytes;
  while (end > 0 && (static_cast<unsigned char>(part[end]) & 0xC0) == 0x80) --end;
  return std::string(part.substr(0, end)) + "…";
}

}  // namespace cadre::model_folder
