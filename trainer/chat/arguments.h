// The arguments of a filter, test, method or function, matched with its parameters as Python does.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/chat/value.h"

namespace cadre::chat {

class Bound {
 public:
  // `required`: how many of the parameters have no default. Failure for too many, too few, unknown or repeated ones.
  Bound(std::string what, const Arguments& arguments, std::initializer_list<std::string_view> parameters,
        std::size_t required = 0);

  bool has(std::size_t i) const { return values_[i].has_value(); }
  // Absent or none.
  bool is_none(std::size_t i) const { return !has(i) || values_[i]->is_none(); }
  const Value& value(std::size_t i) const { return *values_[i]; }
  Value value_or(std::size_t i, Value fallback) const { return has(i) ? *values_[i] : std::move(fallback); }
  bool truth_or(std::size_t i, bool fallback) const { return has(i) ? truth(*values_[i]) : fallback; }
  // Failure where the argument is of another type.
  Integer integer_or(std::size_t i, Integer fallback) const;
  const Value& string(std::size_t i) const;

 private:
  std::string what_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace cadre::chat
