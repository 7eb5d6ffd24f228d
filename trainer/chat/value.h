// The values of the template language: Python's, as far as a template can see them. Values share what they hold; only
// namespaces, iterators, loops, cyclers and joiners change after they are made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "trainer/chat/budget.h"
#include "trainer/chat/text.h"

namespace cadre::chat {

__extension__ typedef __int128 Integer;  // Python's integers as far as 127 bits; beyond is an error, never a wrap

enum class Kind : std::uint8_t {
  kUndefined,
  kNone,
  kBoolean,
  kInteger,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,
  kIterator,
  kNamespace,
  kLoop,
  kMethod,
  kFunction,
  kMacro,
  kCycler,
  kJoiner
};

struct Object {
  virtual ~Object() = default;
  int depth = 1;  // 1 + that of the deepest value inside; bounded, so that destruction and printing recurse little
};

class Value {
 public:
  Value() = default;  // undefined, without a hint
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b);
  static Value integer(Integer i);
  static Value floating(double d);
  static Value string(Text text);
  static Value string(std::string_view bytes) { return string(Text(std::string(bytes))); }
  static Value undefined(std::string hint);
  static Value list(std::vector<Value> items, std::int32_t origin = -1);
  static Value tuple(std::vector<Value> items);
  static Value iterator(std::vector<Value> items);  // what a generator would yield; can be walked once
  Value(Kind kind, std::shared_ptr<Object> object) : kind_(kind), object_(std::move(object)) {}

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const { return kind_ == Kind::kInteger || kind_ == Kind::kBoolean; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  bool as_boolean() const { return integer_ != 0; }
  Integer as_integer() const { return integer_; }  // of a boolean too
  double as_float() const { return kind_ == Kind::kFloat ? floating_ : static_cast<double>(integer_); }
  const Text& as_text() const;
  std::string_view as_bytes() const { return as_text().view(); }
  const std::vector<Value>& items() const;  // of a list or tuple
  std::string hint() const;                 // of an undefined: why it is

  template <typename T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  const std::shared_ptr<Object>& object() const { return object_; }

  // The message that a number, boolean or none was taken from; -1: none. Strings and containers hold theirs inside.
  std::int32_t origin() const { return origin_; }
  Value from_message(std::int32_t message) const;

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  std::int32_t origin_ = -1;
  union {
    Integer integer_ = 0;
    double floating_;
  };
  std::shared_ptr<Object> object_;
};

struct StringObject : Object {
  Text text;
  bool ascii = true;
  bool escaped = false;  // HTML-safe: what |escape and |safe make
};

struct ListObject : Object {
  std::vector<Value> items;
  std::int32_t origin = -1;  // the message it is part of: whose are the brackets when it is printed
  bool is_group = false;     // a tuple that groupby made: (grouper, list), with these names as attributes
};

// Keeps the order of insertion; a later value for a key replaces the earlier one in its place.
struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;
  std::int32_t origin = -1;
  std::int32_t message = -1;  // this dict is messages[message]

  // Failure where the key cannot be one (a list, a dict).
  void set(const Value& key, Value value);
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;

 private:
  const Value* find_canonical(const std::string& canonical) const;
  std::unordered_map<std::string, std::size_t> index_;  // from the canonical form of the key
};

struct RangeObject : Object {
  Integer start = 0, stop = 0, step = 1;
  std::uint64_t length = 0;
  Value at(std::uint64_t i) const { return Value::integer(start + static_cast<Integer>(i) * step); }
};

enum class ViewOf : std::uint8_t { kKeys, kValues, kItems };
struct ViewObject : Object {
  Value dict;
  ViewOf of = ViewOf::kKeys;
};

struct IteratorObject : Object {
  std::vector<Value> items;
  std::size_t next = 0;
};

struct NamespaceObject : Object {
  std::shared_ptr<DictObject> attributes = std::make_shared<DictObject>();
};

struct UndefinedObject : Object {
  std::string hint;
};

struct Keyword {
  std::string name;
  Value value;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<Keyword> keywords;
};

// A method bound to its value ("strip" of a string), or a function of the environment by name.
struct MethodObject : Object {
  Value self;
  std::string name;
};

struct CyclerObject : Object {
  std::vector<Value> items;
  std::size_t position = 0;
};

struct JoinerObject : Object {
  Value separator;
  bool used = false;
};

std::shared_ptr<DictObject> make_dict();
// Takes note that `container` now holds `inner`; Failure where values nest too deeply.
void deepen(Object& container, const Value& inner);

// Python's bool(), len() (Failure where there is none), type name, ==, <, `in`.
bool truth(const Value& value);
std::uint64_t length_of(const Value& value);
std::string type_name(const Value& value);
bool equal(const Value& a, const Value& b);
bool less(const Value& a, const Value& b);
bool contains(const Value& container, const Value& item);
bool is_iterable(const Value& value);
// What iter() yields; an iterator is used up by it. Failure where the value cannot be iterated.
std::vector<Value> iterate(const Value& value);

// For messages: an undefined value used where it may not be.
[[noreturn]] void fail_undefined(const Value& value);

}  // namespace cadre::chat
