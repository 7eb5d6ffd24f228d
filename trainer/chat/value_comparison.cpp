// Python's ==, < and `in`.
#include <algorithm>

#include "runtime/error.h"
#include "trainer/chat/value.h"

namespace cadre::chat {

bool equal(const Value& a, const Value& b) {
  Budget::work(1);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_integer() == b.as_integer();
    return a.as_float() == b.as_float();
  }
  if (a.kind() != b.kind()) {
    if (a.is(Kind::kView) || b.is(Kind::kView)) throw Failure("comparing a dict view is not implemented");
    return false;
  }
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      Budget::work(std::min(a.as_text().size(), b.as_text().size()) / 16);
      return a.as_bytes() == b.as_bytes();
    case Kind::kList:
    case Kind::kTuple:
      return a.object() == b.object() ||
             std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), equal);
    case Kind::kDict: {
      if (a.object() == b.object()) return true;
      const auto& left = a.as<DictObject>();
      const auto& right = b.as<DictObject>();
      if (left.entries.size() != right.entries.size()) return false;
      return std::all_of(left.entries.begin(), left.entries.end(), [&](const auto& entry) {
        const Value* other = right.find(entry.first);
        return other != nullptr && equal(entry.second, *other);
      });
    }
    case Kind::kRange: {
      const auto& left = a.as<RangeObject>();
      const auto& right = b.as<RangeObject>();
      return left.length == right.length &&
             (left.length == 0 || (left.start == right.start && (left.length == 1 || left.step == right.step)));
    }
    case Kind::kView:
      throw Failure("comparing a dict view is not implemented");
    default:
      return a.object() == b.object();
  }
}

bool less(const Value& a, const Value& b) {
  Budget::work(1);
  if (a.is_undefined()) fail_undefined(a);
  if (b.is_undefined()) fail_undefined(b);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_integer() < b.as_integer();
    return a.as_float() < b.as_float();
  }
  if (a.is_string() && b.is_string()) {
    Budget::work(std::min(a.as_text().size(), b.as_text().size()) / 16);
    return a.as_bytes() < b.as_bytes();  // UTF-8 sorts as its characters do
  }
  if (a.kind() == b.kind() && (a.is(Kind::kList) || a.is(Kind::kTuple))) {
    const auto& left = a.items();
    const auto& right = b.items();
    for (std::size_t i = 0; i < left.size() && i < right.size(); ++i) {
      if (!equal(left[i], right[i])) return less(left[i], right[i]);
    }
    return left.size() < right.size();
  }
  throw Failure(runtime::say("'<' not supported between instances of '", type_name(a), "' and '", type_name(b), "'"));
}

bool contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (item.is_undefined()) fail_undefined(item);
      if (!item.is_string()) {
        throw Failure(runtime::say("'in <string>' requires string as left operand, not ", type_name(item)));
      }
      Budget::work(container.as_text().size() / 4);
      return container.as_bytes().find(item.as_bytes()) != std::string_view::npos;
    case Kind::kDict:
      return container.as<DictObject>().find(item) != nullptr;
    case Kind::kView:
      if (container.as<ViewObject>().of == ViewOf::kKeys) {
        return container.as<ViewObject>().dict.as<DictObject>().find(item) != nullptr;
      }
      break;
    default:
      break;
  }
  const std::vector<Value> items = iterate(container);
  return std::any_of(items.begin(), items.end(), [&](const Value& candidate) { return equal(candidate, item); });
}

}  // namespace cadre::chat
