#include "runtime/json_fields.h"

namespace cadre::runtime {

std::string text_in(const boost::json::object& fields, const char* name) {
  const boost::json::value* value = fields.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace cadre::runtime
