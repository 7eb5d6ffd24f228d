// The variable `loop` of a for statement.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "trainer/chat/value.h"

namespace cadre::chat {

// Walks its items lazily where the loop has a filter: the filter of an item runs when the item is first looked at, as
// Jinja's generators do.
struct LoopObject : Object {
  std::vector<Value> source;
  std::function<bool(const Value&)> accept;    // empty: every item
  std::function<Value(const Value&)> recurse;  // empty: the loop is not recursive
  std::int64_t index0 = -1;
  int depth0 = 0;
  Value previous, current;
  std::optional<std::vector<Value>> last_changed;

  // Moves to the next item; false at the end.
  bool advance();
  // The item after the current one, or null.
  const Value* peek();
  std::int64_t length();
  // Once the loop is over its statement is gone: what is left counts as not accepted.
  void finish();

 private:
  std::size_t next_ = 0;  // in source
  std::optional<Value> after_;
  std::optional<std::int64_t> length_;
};

// Attribute of `loop`; undefined where it has none. Methods (cycle, changed) come back as such.
Value loop_attribute(const Value& loop, std::string_view name);
Value call_loop_method(LoopObject& loop, std::string_view name, const Arguments& arguments);

}  // namespace cadre::chat
