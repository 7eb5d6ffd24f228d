#include "trainer/chat/functions.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "runtime/error.h"
#include "trainer/chat/arguments.h"
#include "trainer/chat/date_format.h"
#include "trainer/chat/operators.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {
namespace {

using runtime::say;

constexpr std::string_view kGlobals[] = {"range",           "dict",        "namespace", "cycler", "joiner",
                                         "raise_exception", "strftime_now"};
constexpr std::string_view kDictMethods[] = {"keys", "values", "items", "get", "copy"};
constexpr std::string_view kSequenceMethods[] = {"index", "count"};
// Methods of Python that a template could call in the sandbox, but not here.
constexpr std::string_view kMissingMethods[] = {
    "encode",     "translate", "maketrans", "fromkeys", "bit_length", "bit_count", "as_integer_ratio", "to_bytes",
    "from_bytes", "conjugate", "hex",       "fromhex",  "real",       "imag",      "numerator",        "denominator"};
// What would change a value that the sandbox keeps as it is.
constexpr std::string_view kUnsafeMethods[] = {"append", "clear",  "pop",     "reverse",    "insert", "sort",
                                               "extend", "remove", "popitem", "setdefault", "update"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value make_range(const Arguments& arguments) {
  if (!arguments.keywords.empty()) throw Failure("range() takes no keyword arguments");
  const std::vector<Value>& given = arguments.positional;
  if (given.empty() || given.size() > 3) throw Failure(say("range expected 1 to 3 arguments, found ", given.size()));
  const auto integer = [&](std::size_t i) {
    if (given[i].is_undefined()) fail_undefined(given[i]);
    if (!given[i].is_integral())
      throw Failure(say("'", type_name(given[i]), "' object cannot be interpreted as an integer"));
    const Integer value = given[i].as_integer();
    constexpr Integer kBound = static_cast<Integer>(1) << 62;
    if (value > kBound || value < -kBound)
      throw Failure("range() with integers of more than 62 bits is not implemented");
    return value;
  };
  Budget::allocate(128);
  auto range = std::make_shared<RangeObject>();
  range->start = given.size() == 1 ? 0 : integer(0);
  range->stop = integer(given.size() == 1 ? 0 : 1);
  range->step = given.size() == 3 ? integer(2) : 1;
  if (range->step == 0) throw Failure("range() arg 3 must not be zero");
  const Integer distance = range->step > 0 ? range->stop - range->start : range->start - range->stop;
  const Integer stride = range->step > 0 ? range->step : -range->step;
  const Integer count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  if (count > 100000) throw Failure("range too big: the sandbox blocks ranges of more than 100000 items");
  range->length = static_cast<std::uint64_t>(count);
  return {Kind::kRange, std::move(range)};
}

void fill_dict(DictObject& dict, const std::string& what, const Arguments& arguments) {
  if (arguments.positional.size() > 1) throw Failure(say(what, " takes at most one positional argument"));
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.as<DictObject>().entries) dict.set(key, value);
    } else {
      for (const Value& pair : iterate(source)) {
        const std::vector<Value> parts = iterate(pair);
        if (parts.size() != 2) throw Failure(say(what, " expects pairs, found ", parts.size(), " values"));
        dict.set(parts[0], parts[1]);
      }
    }
  }
  for (const Keyword& keyword : arguments.keywords) dict.set(Value::string(keyword.name), keyword.value);
}

Value call_global(Evaluator& evaluator, std::string_view name, const Arguments& arguments) {
  if (name == "range") return make_range(arguments);
  if (name == "dict") {
    const auto dict = make_dict();
    fill_dict(*dict, "dict()", arguments);
    return {Kind::kDict, dict};
  }
  if (name == "namespace") {
    const auto space = evaluator.make_namespace();
    fill_dict(*space->attributes, "namespace()", arguments);
    return {Kind::kNamespace, space};
  }
  if (name == "cycler") {
    if (arguments.positional.empty()) throw Failure("cycler() needs at least one item");
    if (!arguments.keywords.empty()) throw Failure("cycler() takes no keyword arguments");
    Budget::allocate(128 + arguments.positional.size() * sizeof(Value));
    auto cycler = std::make_shared<CyclerObject>();
    for (const Value& item : arguments.positional) deepen(*cycler, item);
    cycler->items = arguments.positional;
    return {Kind::kCycler, std::move(cycler)};
  }
  if (name == "joiner") {
    const Bound bound("joiner()", arguments, {"sep"});
    Budget::allocate(128);
    auto joiner = std::make_shared<JoinerObject>();
    joiner->separator = bound.value_or(0, Value::string(", "));
    deepen(*joiner, joiner->separator);
    return {Kind::kJoiner, std::move(joiner)};
  }
  if (name == "raise_exception") {
    const Bound bound("raise_exception()", arguments, {"message"}, 1);
    throw Failure("the template rejects this conversation: " + to_text(bound.value(0)).bytes());
  }
  const Bound bound("strftime_now()", arguments, {"format"}, 1);
  return Value::string(Text(format_date(evaluator.date(), bound.string(0).as_bytes())));
}

Value view_of(const Value& dict, ViewOf of) {
  Budget::allocate(128);
  auto view = std::make_shared<ViewObject>();
  deepen(*view, dict);
  view->dict = dict;
  view->of = of;
  return {Kind::kView, std::move(view)};
}

Value call_dict_method(const Value& self, std::string_view name, const Arguments& arguments) {
  auto& dict = self.as<DictObject>();
  if (name == "get") {
    const Bound bound("get()", {.positional = arguments.positional, .keywords = arguments.keywords}, {"key", "default"},
                      1);
    if (!arguments.keywords.empty()) throw Failure("dict.get() takes no keyword arguments");
    const Value* found = dict.find(bound.value(0));
    return found != nullptr ? *found : bound.value_or(1, Value::none());
  }
  if (!arguments.positional.empty() || !arguments.keywords.empty())
    throw Failure(say("dict.", name, "() takes no arguments"));
  if (name == "keys") return view_of(self, ViewOf::kKeys);
  if (name == "values") return view_of(self, ViewOf::kValues);
  if (name == "items") return view_of(self, ViewOf::kItems);
  const auto copy = make_dict();
  for (const auto& [key, value] : dict.entries) copy->set(key, value);
  copy->origin = dict.origin;
  copy->message = dict.message;
  return {Kind::kDict, copy};
}

Value call_sequence_method(const Value& self, std::string_view name, const Arguments& arguments) {
  if (name == "copy") {
    if (!arguments.positional.empty() || !arguments.keywords.empty()) throw Failure("list.copy() takes no arguments");
    return Value::list(self.items(), self.as<ListObject>().origin);
  }
  const Bound bound(std::string(name) + "()", arguments, {"value", "start", "stop"}, 1);
  const std::vector<Value>& items = self.items();
  if (name == "count") {
    Integer n = 0;
    for (const Value& item : items) n += equal(item, bound.value(0)) ? 1 : 0;
    return Value::integer(n);
  }
  const auto length = static_cast<Integer>(items.size());
  const auto clip = [length](Integer i) { return std::clamp<Integer>(i < 0 ? i + length : i, 0, length); };
  const Integer stop = clip(bound.integer_or(2, length));
  for (Integer i = clip(bound.integer_or(1, 0)); i < stop; ++i) {
    if (equal(items[static_cast<std::size_t>(i)], bound.value(0))) return Value::integer(i);
  }
  throw Failure(say(to_repr(bound.value(0)).bytes().substr(0, 80), " is not in ", type_name(self)));
}

Value call_method(Evaluator& evaluator, const MethodObject& method, const Arguments& arguments) {
  const Value& self = method.self;
  switch (self.kind()) {
    case Kind::kString:
      return call_string_method(evaluator, method, arguments);
    case Kind::kDict:
      return call_dict_method(self, method.name, arguments);
    case Kind::kList:
    case Kind::kTuple:
      return call_sequence_method(self, method.name, arguments);
    case Kind::kRange: {
      Arguments copy = arguments;
      return call_sequence_method(Value::list(iterate(self)), method.name, copy);
    }
    case Kind::kLoop:
      return call_loop_method(self.as<LoopObject>(), method.name, arguments);
    case Kind::kFloat:
      return Value::boolean(std::floor(self.as_float()) == self.as_float());
    case Kind::kCycler: {
      auto& cycler = self.as<CyclerObject>();
      if (method.name == "reset") {
        cycler.position = 0;
        return Value::none();
      }
      const Value current = cycler.items[cycler.position];
      cycler.position = (cycler.position + 1) % cycler.items.size();
      return current;
    }
    default:
      throw Failure(say("method '", method.name, "' of ", type_name(self), " is not implemented"));
  }
}

}  // namespace

bool is_global_function(std::string_view name) {
  return is_one_of(name, kGlobals);
}

std::string global_problem(std::string_view name) {
  if (name == "lipsum") return "the function 'lipsum' is not implemented: its text is random";
  if (name == "self" || name == "super") return say("'", name, "' is not implemented: chat templates stand alone");
  return {};
}

bool has_method(const Value& self, std::string_view name) {
  switch (self.kind()) {
    case Kind::kString:
      if (has_string_method(name)) return true;
      break;
    case Kind::kDict:
      if (is_one_of(name, kDictMethods)) return true;
      break;
    case Kind::kList:
      if (name == "copy") return true;
      [[fallthrough]];
    case Kind::kTuple:
    case Kind::kRange:
      if (is_one_of(name, kSequenceMethods)) return true;
      break;
    case Kind::kFloat:
      if (name == "is_integer") return true;
      break;
    case Kind::kCycler:
      return name == "next" || name == "reset";
    default:
      return false;
  }
  const bool has_missing = is_one_of(name, kMissingMethods);
  const bool number_method = name != "encode" && name != "translate" && name != "maketrans" && name != "fromkeys";
  if (has_missing &&
      ((self.is_number() && number_method) || (self.is_string() && !number_method && name != "fromkeys") ||
       (self.is(Kind::kDict) && name == "fromkeys"))) {
    throw Failure(say("method '", name, "' of ", type_name(self), " is not implemented"));
  }
  return false;
}

Value call_function(Evaluator& evaluator, const MethodObject& function, const Arguments& arguments) {
  if (function.self.is_undefined()) return call_global(evaluator, function.name, arguments);
  return call_method(evaluator, function, arguments);
}

Value Evaluator::attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) fail_undefined(object);
  if (object.is(Kind::kNamespace)) {
    if (const Value* found = object.as<NamespaceObject>().attributes->find(name)) return *found;
    return Value::undefined(say("the namespace has no attribute '", name, "'"));
  }
  if (object.is(Kind::kTuple) && object.as<ListObject>().is_group && (name == "grouper" || name == "list")) {
    return object.items()[name == "grouper" ? 0 : 1];
  }
  if (object.is(Kind::kLoop)) return loop_attribute(object, name);
  if (object.is(Kind::kCycler) && name == "current") {
    const auto& cycler = object.as<CyclerObject>();
    return cycler.items[cycler.position];
  }
  if (object.is(Kind::kMacro)) {
    const MacroDefinition& definition = *object.as<MacroObject>().definition;
    if (name == "name") return Value::string(definition.name);
    if (name == "arguments") {
      std::vector<Value> names;
      for (const Parameter& parameter : definition.parameters) names.push_back(Value::string(parameter.name));
      return Value::tuple(std::move(names));
    }
    throw Failure(say("attribute '", name, "' of a macro is not implemented"));
  }
  if (has_method(object, name)) {
    Budget::allocate(128);
    auto method = std::make_shared<MethodObject>();
    deepen(*method, object);
    method->self = object;
    method->name = name;
    return {Kind::kMethod, std::move(method)};
  }
  const bool mutable_object = object.is(Kind::kDict) || object.is(Kind::kList);
  if (mutable_object && is_one_of(name, kUnsafeMethods)) {
    const bool has = object.is(Kind::kDict) ? name == "clear" || name == "pop" || name == "popitem" ||
                                                  name == "setdefault" || name == "update"
                                            : name != "popitem" && name != "setdefault" && name != "update";
    if (has)
      return Value::undefined(say("access to attribute '", name, "' of '", type_name(object), "' object is unsafe"));
  }
  if (object.is(Kind::kDict)) {
    if (const Value* found = object.as<DictObject>().find(name)) return *found;
  }
  return Value::undefined(say("'", type_name(object), " object' has no attribute '", name, "'"));
}

Value Evaluator::item(const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::kUndefined:
      fail_undefined(object);
    case Kind::kDict:
      // What cannot be a key is not there.
      if (!key.is(Kind::kList) && !key.is(Kind::kDict)) {
        if (const Value* found = object.as<DictObject>().find(key)) return *found;
      }
      break;
    case Kind::kList:
    case Kind::kTuple:
      if (key.is_integral()) {
        const std::int64_t i = resolve_index(key.as_integer(), object.items().size());
        if (i >= 0) return object.items()[static_cast<std::size_t>(i)];
      }
      break;
    case Kind::kString:
      if (key.is_integral()) {
        const std::int64_t i = resolve_index(key.as_integer(), length_of(object));
        if (i < 0) break;
        const auto [begin, end] = character_bytes(object, static_cast<std::uint64_t>(i));
        return Value::string(object.as_text().slice(begin, end));
      }
      break;
    case Kind::kRange:
      if (key.is_integral()) {
        const auto& range = object.as<RangeObject>();
        const std::int64_t i = resolve_index(key.as_integer(), range.length);
        if (i >= 0) return range.at(static_cast<std::uint64_t>(i));
      }
      break;
    default:
      break;
  }
  if (key.is_string()) {
    const std::string name(key.as_bytes());
    if (!object.is(Kind::kDict)) return attribute(object, name);
    if (has_method(object, name)) return attribute(object, name);
    return Value::undefined(say("'dict object' has no attribute '", name, "'"));
  }
  return Value::undefined(say(type_name(object), " object has no such element"));
}

}  // namespace cadre::chat
