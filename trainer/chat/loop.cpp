#include "trainer/chat/loop.h"

#include "runtime/error.h"

namespace cadre::chat {

const Value* LoopObject::peek() {
  if (after_) return &*after_;
  while (next_ < source.size()) {
    const Value& candidate = source[next_++];
    if (!accept || accept(candidate)) {
      after_ = candidate;
      return &*after_;
    }
  }
  return nullptr;
}

bool LoopObject::advance() {
  if (peek() == nullptr) return false;
  ++index0;
  previous = std::move(current);
  current = std::move(*after_);
  after_.reset();
  return true;
}

std::int64_t LoopObject::length() {
  if (length_) return *length_;
  if (accept) {
    std::vector<Value> rest;
    while (const Value* item = peek()) {
      rest.push_back(*item);
      after_.reset();
    }
    length_ = static_cast<std::int64_t>(rest.size()) + index0 + 1;
    source = std::move(rest);
    next_ = 0;
    accept = nullptr;
    return *length_;
  }
  length_ = static_cast<std::int64_t>(source.size());
  return *length_;
}

void LoopObject::finish() {
  if (accept) next_ = source.size();
  accept = nullptr;
  recurse = nullptr;
}

Value loop_attribute(const Value& value, std::string_view name) {
  auto& loop = value.as<LoopObject>();
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "last") return Value::boolean(loop.peek() == nullptr);
  if (name == "length") return Value::integer(loop.length());
  if (name == "revindex0") return Value::integer(loop.length() - loop.index0 - 1);
  if (name == "revindex") return Value::integer(loop.length() - loop.index0);
  if (name == "depth0") return Value::integer(loop.depth0);
  if (name == "depth") return Value::integer(loop.depth0 + 1);
  if (name == "previtem") return loop.index0 == 0 ? Value::undefined("there is no previous item") : loop.previous;
  if (name == "nextitem") {
    const Value* next = loop.peek();
    return next == nullptr ? Value::undefined("there is no next item") : *next;
  }
  if (name == "cycle" || name == "changed") {
    Budget::allocate(128);
    auto method = std::make_shared<MethodObject>();
    deepen(*method, value);
    method->self = value;
    method->name = name;
    return {Kind::kMethod, std::move(method)};
  }
  return Value::undefined(runtime::say("'loop' has no attribute '", name, "'"));
}

Value call_loop_method(LoopObject& loop, std::string_view name, const Arguments& arguments) {
  if (!arguments.keywords.empty()) throw Failure(runtime::say("loop.", name, "() takes no keyword arguments"));
  const std::vector<Value>& values = arguments.positional;
  if (name == "cycle") {
    if (values.empty()) throw Failure("no items for cycling given");
    return values[static_cast<std::size_t>(loop.index0) % values.size()];
  }
  const bool same = loop.last_changed && equal(Value::tuple(*loop.last_changed), Value::tuple(values));
  if (!same) {
    for (const Value& v : values) deepen(loop, v);
    loop.last_changed = values;
  }
  return Value::boolean(!same);
}

}  // namespace cadre::chat
