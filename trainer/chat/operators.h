// The operators of expressions, as Python has them.
#pragma once

#include <string_view>

#include "trainer/chat/value.h"

namespace cadre::chat {

Value arithmetic(std::string_view op, const Value& left, const Value& right);  // + - * / // % **
Value negate(const Value& value, bool negative);                               // -x, +x
bool compare(std::string_view op, const Value& left, const Value& right);      // == != < <= > >= in, not in

struct SliceBounds {
  Value start, stop, step;  // none where left out
};
// object[start:stop:step]; undefined for what cannot be sliced.
Value slice(const Value& object, const SliceBounds& bounds);

// Position `index` of a sequence of `length` with Python's negative positions; -1 where out of range.
std::int64_t resolve_index(Integer index, std::uint64_t length);
// Bytes of character `index` of a string.
std::pair<std::size_t, std::size_t> character_bytes(const Value& string, std::uint64_t index);
Value concatenate(const Value& left, const Value& right);  // two strings

}  // namespace cadre::chat
