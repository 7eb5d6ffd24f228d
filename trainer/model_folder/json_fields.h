// Typed, bounded reading of JSON objects that others wrote. A null counts as absent, as transformers means it.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::model_folder {

// The object that `text` is. UserError: "where:line:column: …".
boost::json::object parse_json_object(std::string_view text, const std::string& where);

struct IntegerRange {
  std::int64_t least = 0, most = std::numeric_limits<std::int64_t>::max();
};
struct NumberRange {
  double least = -std::numeric_limits<double>::max(), most = std::numeric_limits<double>::max();
};

// A view of an object that names itself in errors: "where: prefix.name: expected …, found …". Keeps no copy.
class JsonFields {
 public:
  JsonFields(const boost::json::object& object, std::string where, std::string prefix = "")
      : object_(object), where_(std::move(where)), prefix_(std::move(prefix)) {}

  // nullptr when absent or null.
  const boost::json::value* find(std::string_view name) const;
  bool is_null(std::string_view name) const;  // there, and null

  // The value, or nothing where it is absent or null; UserError for another type or one out of range.
  std::optional<std::int64_t> integer(std::string_view name, IntegerRange range = {}) const;
  std::optional<double> number(std::string_view name, NumberRange range = {}) const;
  std::optional<bool> flag(std::string_view name) const;
  std::optional<std::string> text(std::string_view name) const;
  std::optional<std::vector<double>> numbers(std::string_view name, NumberRange range = {}) const;
  std::optional<std::vector<std::string>> texts(std::string_view name) const;
  std::optional<JsonFields> object(std::string_view name) const;

  // UserError: "where: name: message".
  [[noreturn]] void fail(std::string_view name, const std::string& message) const;
  // UserError: "where: name: expected …, found VALUE".
  [[noreturn]] void expected(std::string_view name, const std::string& what) const;

  const boost::json::object& json() const { return object_; }
  const std::string& where() const { return where_; }

 private:
  const boost::json::object& object_;
  std::string where_, prefix_;
};

// One line of JSON, cut short: for messages.
std::string short_json(const boost::json::value& value);

}  // namespace cadre::model_folder
