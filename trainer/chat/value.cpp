#include "trainer/chat/value.h"

#include <algorithm>
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

void fail_undefined(const Value& value) {
  throw Failure(value.hint());
}

}  // namespace cadre::chat
