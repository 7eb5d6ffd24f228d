// What a filter is given.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/chat/arguments.h"
#include "trainer/chat/evaluator.h"

namespace cadre::chat {

struct FilterCall {
  Evaluator& evaluator;
  const Value& operand;
  const Arguments& arguments;
  std::string_view name;

  std::string what() const { return "the filter '" + std::string(name) + "'"; }
};

using Filter = Value (*)(const FilterCall&);
using FilterTable = std::map<std::string_view, Filter>;

const FilterTable& text_filters();
const FilterTable& sequence_filters();
const FilterTable& number_filters();

// Python's attribute paths for filters: "a.b.0" looks up a, then b, then item 0. none: the value itself.
class AttributePath {
 public:
  AttributePath(Evaluator& evaluator, const Value& path);
  Value operator()(Value value) const;
  // The same, and `fallback` (where not undefined) in the place of what is missing.
  Value operator()(Value value, const Value& fallback) const;

 private:
  Evaluator& evaluator_;
  std::vector<Value> parts_;
};

}  // namespace cadre::chat
