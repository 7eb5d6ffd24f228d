// The fields of one row as the row types ask for them; what is missing or of the wrong kind is a UserError that names
// the field and what is there instead. (The caller adds the place: these functions know the row, not the file.)
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <string_view>

namespace cadre::data {

// A string; UserError where absent or anything else.
std::string_view required_text(const boost::json::object& fields, std::string_view name);

// The string, or empty where the field is absent or null.
std::string_view optional_text(const boost::json::object& fields, std::string_view name);

// An array, or a string that holds one as JSON (what CSV can carry); UserError where absent or anything else.
boost::json::array required_array(const boost::json::object& fields, std::string_view name);

// The same, null where the field is absent, null or an empty string.
boost::json::value optional_array(const boost::json::object& fields, std::string_view name);

// `name` where it is not empty, else `otherwise`: how a field_* key names its field.
inline std::string name_or(const std::string& name, std::string_view otherwise) {
  return name.empty() ? std::string(otherwise) : name;
}

}  // namespace cadre::data
