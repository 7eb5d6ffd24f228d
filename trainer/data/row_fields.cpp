#include "trainer/data/row_fields.h"

#include <boost/json/kind.hpp>
#include <utility>

#include "runtime/error.h"
#include "trainer/data/json_text.h"
#include "trainer/data/row_reader.h"

namespace cadre::data {
namespace {

[[noreturn]] void fail_missing(const boost::json::object& fields, std::string_view name) {
  std::string names;
  constexpr std::size_t kNamed = 12;
  std::size_t count = 0;
  for (const auto& field : fields) {
    if (count++ == kNamed) {
      names += ", …";
      break;
    }
    names += (names.empty() ? "" : ", ") + excerpt(field.key());
  }
  throw runtime::UserError(runtime::say("expected the field ", excerpt(name), ", found only ",
                                        names.empty() ? "no field at all" : names,
                                        "; add it, or name the one to use with the dataset's field_* keys"));
}

[[noreturn]] void fail_kind(std::string_view name, std::string_view expected, const boost::json::value& found) {
  throw runtime::UserError(runtime::say("expected the field ", excerpt(name), " to be ", expected, ", found ",
                                        boost::json::to_string(found.kind())));
}

boost::json::array array_of(const boost::json::value& value, std::string_view name) {
  if (const auto* array = value.if_array()) return *array;
  const auto* text = value.if_string();
  if (!text) fail_kind(name, "an array", value);
  boost::json::value parsed = parse_json(*text, {{}, 0, "the field " + excerpt(name)});
  if (!parsed.is_array()) fail_kind(name, "an array (or the JSON text of one)", parsed);
  return std::move(parsed.get_array());
}

}  // namespace

std::string_view required_text(const boost::json::object& fields, std::string_view name) {
  const auto* value = fields.if_contains(name);
  if (!value) fail_missing(fields, name);
  const auto* text = value->if_string();
  if (!text) fail_kind(name, "a string", *value);
  return *text;
}

std::string_view optional_text(const boost::json::object& fields, std::string_view name) {
  const auto* value = fields.if_contains(name);
  if (!value || value->is_null()) return {};
  const auto* text = value->if_string();
  if (!text) fail_kind(name, "a string or null", *value);
  return *text;
}

boost::json::array required_array(const boost::json::object& fields, std::string_view name) {
  const auto* value = fields.if_contains(name);
  if (!value) fail_missing(fields, name);
  return array_of(*value, name);
}

boost::json::value optional_array(const boost::json::object& fields, std::string_view name) {
  const auto* value = fields.if_contains(name);
  if (!value || value->is_null() || (value->is_string() && value->get_string().empty())) return nullptr;
  return array_of(*value, name);
}

}  // namespace cadre::data
