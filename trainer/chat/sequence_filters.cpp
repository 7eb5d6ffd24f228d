// Filters on lists, dicts and whatever else can be walked.
#include <algorithm>

#include "runtime/error.h"
#include "trainer/chat/filter_call.h"
#include "trainer/chat/filters.h"
#include "trainer/chat/functions.h"
#include "trainer/chat/operators.h"
#include "trainer/chat/tests.h"
#include "trainer/chat/text_functions.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {
namespace {

using runtime::say;

// What sorting compares: strings without regard to case, unless told otherwise.
Value comparison_key(Value value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  return Value::string(change_case(value.as_text(), Case::kLower));
}

struct Keyed {
  Value key, value;
};

std::vector<Value> sorted(std::vector<Keyed> items, bool reverse) {
  if (reverse) std::reverse(items.begin(), items.end());
  std::stable_sort(items.begin(), items.end(), [](const Keyed& a, const Keyed& b) { return less(a.key, b.key); });
  if (reverse) std::reverse(items.begin(), items.end());
  std::vector<Value> out;
  for (Keyed& item : items) out.push_back(std::move(item.value));
  return out;
}

Value first(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
  if (call.operand.is(Kind::kIterator)) {
    auto& iterator = call.operand.as<IteratorObject>();
    if (iterator.next < iterator.items.size()) return iterator.items[iterator.next++];
  } else {
    const std::vector<Value> items = iterate(call.operand);
    if (!items.empty()) return items.front();
  }
  return Value::undefined("no first item, the sequence was empty");
}

Value last(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
  if (call.operand.is_undefined()) fail_undefined(call.operand);
  if (call.operand.is(Kind::kIterator)) throw Failure("the filter 'last' does not work on a generator: use |list|last");
  const std::vector<Value> items = iterate(call.operand);
  return items.empty() ? Value::undefined("no last item, the sequence was empty") : items.back();
}

Value length(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
  return Value::integer(static_cast<Integer>(length_of(call.operand)));
}

Value list(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
  return Value::list(iterate(call.operand));
}

Value items(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
  if (call.operand.is_undefined()) return Value::iterator({});
  if (!call.operand.is(Kind::kDict)) throw Failure("the filter 'items' expects a mapping");
  std::vector<Value> out;
  for (const auto& [key, value] : call.operand.as<DictObject>().entries) out.push_back(Value::tuple({key, value}));
  return Value::iterator(std::move(out));
}

Value default_filter(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"default_value", "boolean"});
  const bool missing = call.operand.is_undefined() || (bound.truth_or(1, false) && !truth(call.operand));
  return missing ? bound.value_or(0, Value::string("")) : call.operand;
}

Value join(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"d", "attribute"});
  const Text separator = bound.has(0) ? to_text(bound.value(0)) : Text();
  const AttributePath path(call.evaluator, bound.value_or(1, Value::none()));
  Text out;
  bool any = false;
  for (const Value& item : iterate(call.operand)) {
    if (std::exchange(any, true)) out.append(separator);
    out.append(to_text(path(item)));
    if (out.size() > Budget::kMaxText) Budget::allocate(out.size());
  }
  return Value::string(std::move(out));
}

Value reverse(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
  std::vector<Value> out = iterate(call.operand);
  std::reverse(out.begin(), out.end());
  if (call.operand.is(Kind::kIterator)) return Value::list(std::move(out));
  if (!call.operand.is_string()) return Value::iterator(std::move(out));
  Text text;
  for (const Value& character : out) text.append(character.as_text());
  return Value::string(std::move(text));
}

Value attr(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"name"}, 1);
  const std::string name(bound.string(0).as_bytes());
  if (call.operand.is(Kind::kDict) && !has_method(call.operand, name)) {
    return Value::undefined(say("'dict object' has no attribute '", name, "'"));
  }
  return call.evaluator.attribute(call.operand, name);
}

Value map(const FilterCall& call) {
  std::vector<Value> out;
  if (!truth(call.operand)) return Value::iterator({});
  Arguments rest = call.arguments;
  if (rest.positional.empty()) {
    const Bound bound(call.what(), rest, {"attribute", "default"});
    if (!bound.has(0)) throw Failure("the filter 'map' needs the name of a filter or an attribute");
    const AttributePath path(call.evaluator, bound.value(0));
    const Value fallback = bound.value_or(1, Value::none());
    for (const Value& item : iterate(call.operand)) out.push_back(path(item, fallback));
  } else {
    if (!rest.positional[0].is_string()) throw Failure("the filter 'map' expects the name of a filter");
    const std::string name(rest.positional[0].as_bytes());
    rest.positional.erase(rest.positional.begin());
    for (const Value& item : iterate(call.operand)) {
      Budget::work(20);
      out.push_back(apply_filter(call.evaluator, name, item, rest));
    }
  }
  return Value::iterator(std::move(out));
}

Value select(const FilterCall& call) {
  const bool by_attribute = call.name.ends_with("attr"), keep = call.name.starts_with("select");
  if (!truth(call.operand)) return Value::iterator({});
  Arguments rest = call.arguments;
  Value path = Value::none();
  const auto take = [&rest] {
    Value value = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
    return value;
  };
  if (by_attribute) {
    if (rest.positional.empty()) throw Failure(say(call.what(), " needs the name of an attribute"));
    path = take();
  }
  std::string test;
  if (!rest.positional.empty()) {
    const Value name = take();
    if (!name.is_string()) throw Failure(say(call.what(), " expects the name of a test"));
    test = name.as_bytes();
  }
  const AttributePath look_up(call.evaluator, path);
  std::vector<Value> out;
  for (const Value& item : iterate(call.operand)) {
    Budget::work(20);
    const Value value = look_up(item);
    const bool passed = test.empty() ? truth(value) : apply_test(call.evaluator, test, value, rest);
    if (passed == keep) out.push_back(item);
  }
  return Value::iterator(std::move(out));
}

Value sort(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = bound.truth_or(1, false);
  std::vector<AttributePath> paths;
  const Value attribute = bound.value_or(2, Value::none());
  if (attribute.is_string()) {
    for (const Text& path : split(attribute.as_text(), ",", -1))
      paths.emplace_back(call.evaluator, Value::string(path));
  } else {
    paths.emplace_back(call.evaluator, attribute);
  }
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(call.operand)) {
    std::vector<Value> keys;
    for (const AttributePath& path : paths) keys.push_back(comparison_key(path(item), case_sensitive));
    keyed.push_back({Value::list(std::move(keys)), item});
  }
  return Value::list(sorted(std::move(keyed), bound.truth_or(0, false)));
}

Value dictsort(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) ? std::string(bound.string(1).as_bytes()) : "key";
  if (by != "key" && by != "value") throw Failure("the filter 'dictsort' sorts by 'key' or 'value'");
  if (call.operand.is_undefined()) fail_undefined(call.operand);
  if (!call.operand.is(Kind::kDict)) throw Failure("the filter 'dictsort' expects a dict");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : call.operand.as<DictObject>().entries) {
    keyed.push_back({comparison_key(by == "key" ? key : value, bound.truth_or(0, false)), Value::tuple({key, value})});
  }
  return Value::list(sorted(std::move(keyed), bound.truth_or(2, false)));
}

Value unique(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"case_sensitive", "attribute"});
  const AttributePath path(call.evaluator, bound.value_or(1, Value::none()));
  const auto seen = make_dict();
  std::vector<Value> out;
  for (const Value& item : iterate(call.operand)) {
    const Value key = comparison_key(path(item), bound.truth_or(0, false));
    if (seen->find(key) != nullptr) continue;
    seen->set(key, Value::none());
    out.push_back(item);
  }
  return Value::iterator(std::move(out));
}

Value extreme(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"case_sensitive", "attribute"});
  const AttributePath path(call.evaluator, bound.value_or(1, Value::none()));
  const bool want_least = call.name == "min";
  Value best = Value::undefined("no aggregated item, the sequence was empty"), best_key;
  bool any = false;
  for (const Value& item : iterate(call.operand)) {
    const Value key = comparison_key(path(item), bound.truth_or(0, false));
    if (any && !(want_least ? less(key, best_key) : less(best_key, key))) continue;
    any = true;
    best = item;
    best_key = key;
  }
  return best;
}

Value sum(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"attribute", "start"});
  const AttributePath path(call.evaluator, bound.value_or(0, Value::none()));
  Value total = bound.value_or(1, Value::integer(0));
  if (total.is_string()) throw Failure("the filter 'sum' does not add strings: use |join");
  for (const Value& item : iterate(call.operand)) total = arithmetic("+", total, path(item));
  return total;
}

Value groupby(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"attribute", "default", "case_sensitive"}, 1);
  const AttributePath path(call.evaluator, bound.value(0));
  const Value fallback = bound.value_or(1, Value::none());
  const bool case_sensitive = bound.truth_or(2, false);
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(call.operand))
    keyed.push_back({comparison_key(path(item, fallback), case_sensitive), item});
  std::vector<Value> groups, members;
  Value group_key;
  const auto close = [&] {
    if (members.empty()) return;
    Value group = Value::tuple({path(members[0], fallback), Value::list(std::move(members))});
    group.as<ListObject>().is_group = true;
    groups.push_back(std::move(group));
    members.clear();
  };
  for (const Value& item : sorted(std::move(keyed), false)) {
    const Value key = comparison_key(path(item, fallback), case_sensitive);
    if (!members.empty() && !equal(key, group_key)) close();
    group_key = key;
    members.push_back(item);
  }
  close();
  return Value::list(std::move(groups));
}

Value batch(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"linecount", "fill_with"}, 1);
  const Integer size = bound.integer_or(0, 0);
  std::vector<Value> out, row;
  for (const Value& item : iterate(call.operand)) {
    if (static_cast<Integer>(row.size()) == size) {
      out.push_back(Value::list(std::move(row)));
      row.clear();
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    if (!bound.is_none(1) && size > static_cast<Integer>(row.size())) {
      const auto missing = static_cast<std::uint64_t>(size) - row.size();
      if (missing > Budget::kMaxText / sizeof(Value)) Budget::allocate(Budget::kMaxText + 1);
      Budget::allocate(missing * sizeof(Value));
      row.insert(row.end(), missing, bound.value(1));
    }
    out.push_back(Value::list(std::move(row)));
  }
  return Value::iterator(std::move(out));
}

Value slice_filter(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"slices", "fill_with"}, 1);
  const std::vector<Value> all = iterate(call.operand);
  const Integer slices = bound.integer_or(0, 0);
  if (slices == 0) throw Failure("integer division or modulo by zero");
  if (slices < 0) return Value::iterator({});
  if (slices > 100000) throw Failure("the filter 'slice' with more than 100000 slices is not implemented");
  const auto n = static_cast<std::size_t>(slices), each = all.size() / n, longer = all.size() % n;
  std::vector<Value> out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t end = at + each + (i < longer ? 1 : 0);
    std::vector<Value> part(all.begin() + static_cast<std::ptrdiff_t>(at),
                            all.begin() + static_cast<std::ptrdiff_t>(end));
    if (!bound.is_none(1) && i >= longer) part.push_back(bound.value(1));
    out.push_back(Value::list(std::move(part)));
    at = end;
  }
  return Value::iterator(std::move(out));
}

}  // namespace

const FilterTable& sequence_filters() {
  static const FilterTable kTable = {{"first", first},
                                     {"last", last},
                                     {"length", length},
                                     {"count", length},
                                     {"list", list},
                                     {"items", items},
                                     {"default", default_filter},
                                     {"d", default_filter},
                                     {"join", join},
                                     {"reverse", reverse},
                                     {"attr", attr},
                                     {"map", map},
                                     {"select", select},
                                     {"reject", select},
                                     {"selectattr", select},
                                     {"rejectattr", select},
                                     {"sort", sort},
                                     {"dictsort", dictsort},
                                     {"unique", unique},
                                     {"min", extreme},
                                     {"max", extreme},
                                     {"sum", sum},
                                     {"groupby", groupby},
                                     {"batch", batch},
                                     {"slice", slice_filter}};
  return kTable;
}

}  // namespace cadre::chat
