#include "trainer/chat/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {
namespace {

// Equal keys have equal forms: 1, 1.0 and true are one key.
std::string canonical_key(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return "s" + key.as_text().bytes();
    case Kind::kNone:
      return "n";
    case Kind::kBoolean:
    case Kind::kInteger:
      return "i" + integer_text(key.as_integer());
    case Kind::kFloat: {
      const double d = key.as_float();
      if (std::floor(d) == d && std::fabs(d) < 1e37) return "i" + integer_text(static_cast<Integer>(d));
      return "f" + float_text(d);
    }
    case Kind::kTuple: {
      std::string form = "t";
      for (const Value& item : key.items()) {
        const std::string inner = canonical_key(item);
        form += std::to_string(inner.size()) + ":" + inner;
      }
      return form;
    }
    case Kind::kUndefined:
      return "u";
    default:
      throw Failure(runtime::say("unhashable type: '", type_name(key), "'"));
  }
}

}  // namespace

Value Value::boolean(bool b) {
  Value value(Kind::kBoolean);
  value.integer_ = b ? 1 : 0;
  return value;
}

Value Value::integer(Integer i) {
  Value value(Kind::kInteger);
  value.integer_ = i;
  return value;
}

Value Value::floating(double d) {
  Value value(Kind::kFloat);
  value.floating_ = d;
  return value;
}

Value Value::string(Text text) {
  Budget::allocate(64 + text.size() + text.segments().size() * sizeof(Segment));
  auto object = std::make_shared<StringObject>();
  object->ascii = is_ascii(text.view());
  object->text = std::move(text);
  return {Kind::kString, std::move(object)};
}

Value Value::undefined(std::string hint) {
  Budget::allocate(96);
  auto object = std::make_shared<UndefinedObject>();
  object->hint = std::move(hint);
  return {Kind::kUndefined, std::move(object)};
}

namespace {
std::shared_ptr<ListObject> make_list(std::vector<Value> items) {
  Budget::allocate(64 + items.size() * sizeof(Value));
  auto object = std::make_shared<ListObject>();
  for (const Value& item : items) deepen(*object, item);
  object->items = std::move(items);
  return object;
}
}  // namespace

Value Value::list(std::vector<Value> items, std::int32_t origin) {
  auto object = make_list(std::move(items));
  object->origin = origin;
  return {Kind::kList, std::move(object)};
}

Value Value::tuple(std::vector<Value> items) {
  return {Kind::kTuple, make_list(std::move(items))};
}

Value Value::iterator(std::vector<Value> items) {
  Budget::allocate(64 + items.size() * sizeof(Value));
  auto object = std::make_shared<IteratorObject>();
  for (const Value& item : items) deepen(*object, item);
  object->items = std::move(items);
  return {Kind::kIterator, std::move(object)};
}

const Text& Value::as_text() const {
  return as<StringObject>().text;
}
const std::vector<Value>& Value::items() const {
  return as<ListObject>().items;
}
std::string Value::hint() const {
  return object_ ? as<UndefinedObject>().hint : "the value is undefined";
}

Value Value::from_message(std::int32_t message) const {
  Value copy = *this;
  copy.origin_ = message;
  return copy;
}

void deepen(Object& container, const Value& inner) {
  if (!inner.object() || inner.is(Kind::kNamespace)) return;
  container.depth = std::max(container.depth, inner.object()->depth + 1);
  if (container.depth > Budget::kMaxDepth) {
    throw Failure("values nested more than " + std::to_string(Budget::kMaxDepth) + " deep");
  }
}

std::shared_ptr<DictObject> make_dict() {
  Budget::allocate(160);
  return std::make_shared<DictObject>();
}

void DictObject::set(const Value& key, Value value) {
  std::string canonical = canonical_key(key);
  Budget::work(10 + canonical.size() / 8);
  deepen(*this, key);
  deepen(*this, value);
  const auto found = index_.find(canonical);
  if (found != index_.end()) {
    entries[found->second].second = std::move(value);
    return;
  }
  Budget::allocate(2 * sizeof(Value) + canonical.size() + 64);
  index_.emplace(std::move(canonical), entries.size());
  entries.emplace_back(key, std::move(value));
}

const Value* DictObject::find_canonical(const std::string& canonical) const {
  Budget::work(4 + canonical.size() / 8);
  const auto found = index_.find(canonical);
  return found == index_.end() ? nullptr : &entries[found->second].second;
}

const Value* DictObject::find(const Value& key) const {
  return find_canonical(canonical_key(key));
}
const Value* DictObject::find(std::string_view key) const {
  return find_canonical("s" + std::string(key));
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBoolean:
    case Kind::kInteger:
      return value.as_integer() != 0;
    case Kind::kFloat:
      return value.as_float() != 0;
    case Kind::kString:
      return !value.as_text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
      return length_of(value) != 0;
    default:
      return true;
  }
}

std::uint64_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      if (value.as<StringObject>().ascii) return value.as_text().size();
      Budget::work(value.as_text().size() / 8);
      return count_characters(value.as_bytes());
    case Kind::kList:
    case Kind::kTuple:
      return value.items().size();
    case Kind::kDict:
      return value.as<DictObject>().entries.size();
    case Kind::kRange:
      return value.as<RangeObject>().length;
    case Kind::kView:
      return length_of(value.as<ViewObject>().dict);
    default:
      throw Failure(runtime::say("object of type '", type_name(value), "' has no len()"));
  }
}

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBoolean:
      return "bool";
    case Kind::kInteger:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kView: {
      const ViewOf of = value.as<ViewObject>().of;
      return of == ViewOf::kKeys ? "dict_keys" : of == ViewOf::kValues ? "dict_values" : "dict_items";
    }
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kMethod:
      return "method";
    case Kind::kFunction:
      return "function";
    case Kind::kMacro:
      return "Macro";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

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

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kIterator:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

std::vector<Value> iterate(const Value& value) {
  std::vector<Value> out;
  const auto reserve = [&out](std::uint64_t n) {
    Budget::allocate(n * sizeof(Value));
    out.reserve(n);
  };
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kString: {
      const Text& text = value.as_text();
      reserve(length_of(value));
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        decode_at(text.view(), at);
        Budget::work(text.segments().size());
        out.push_back(Value::string(text.slice(begin, at)));
      }
      break;
    }
    case Kind::kList:
    case Kind::kTuple:
      reserve(value.items().size());
      out = value.items();
      break;
    case Kind::kDict:
      reserve(length_of(value));
      for (const auto& entry : value.as<DictObject>().entries) out.push_back(entry.first);
      break;
    case Kind::kView: {
      const auto& view = value.as<ViewObject>();
      reserve(length_of(value));
      for (const auto& [key, held] : view.dict.as<DictObject>().entries) {
        out.push_back(view.of == ViewOf::kKeys ? key : view.of == ViewOf::kValues ? held : Value::tuple({key, held}));
      }
      break;
    }
    case Kind::kRange: {
      const auto& range = value.as<RangeObject>();
      reserve(range.length);
      for (std::uint64_t i = 0; i < range.length; ++i) out.push_back(range.at(i));
      break;
    }
    case Kind::kIterator: {
      auto& iterator = value.as<IteratorObject>();
      reserve(iterator.items.size() - iterator.next);
      out.assign(iterator.items.begin() + static_cast<std::ptrdiff_t>(iterator.next), iterator.items.end());
      iterator.next = iterator.items.size();
      break;
    }
    case Kind::kLoop:
      throw Failure("iterating over the variable 'loop' is not implemented");
    default:
      throw Failure(runtime::say("'", type_name(value), "' object is not iterable"));
  }
  return out;
}

void fail_undefined(const Value& value) {
  throw Failure(value.hint());
}

}  // namespace cadre::chat
