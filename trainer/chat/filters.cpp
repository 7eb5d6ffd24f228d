#include "trainer/chat/filters.h"

#include "runtime/error.h"
#include "trainer/chat/filter_call.h"

namespace cadre::chat {
namespace {

using runtime::say;

Filter find_filter(std::string_view name) {
  for (const FilterTable* table : {&text_filters(), &sequence_filters(), &number_filters()}) {
    if (const auto found = table->find(name); found != table->end()) return found->second;
  }
  return nullptr;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string filter_problem(std::string_view name) {
  if (find_filter(name) != nullptr) return {};
  for (const std::string_view known : {"pprint", "random", "urlize", "wordwrap"}) {
    if (name == known) return say("the filter '", name, "' is not implemented");
  }
  return say("there is no filter named '", name, "'");
}

Value apply_filter(Evaluator& evaluator, std::string_view name, const Value& operand, const Arguments& arguments) {
  const Filter filter = find_filter(name);
  if (filter == nullptr) throw Failure(filter_problem(name));
  return filter({evaluator, operand, arguments, name});
}

AttributePath::AttributePath(Evaluator& evaluator, const Value& path) : evaluator_(evaluator) {
  if (path.is_none()) return;
  if (!path.is_string()) {
    parts_.push_back(path);
    return;
  }
  std::string_view rest = path.as_bytes();
  for (;;) {
    const std::size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    parts_.push_back(is_digits(part) ? Value::integer(std::stoi(std::string(part))) : Value::string(part));
    if (dot == std::string_view::npos) return;
    rest = rest.substr(dot + 1);
  }
}

Value AttributePath::operator()(Value value) const {
  for (const Value& part : parts_) value = evaluator_.item(value, part);
  return value;
}

Value AttributePath::operator()(Value value, const Value& fallback) const {
  for (const Value& part : parts_) {
    value = evaluator_.item(value, part);
    if (value.is_undefined() && !fallback.is_undefined() && !fallback.is_none()) value = fallback;
  }
  return value;
}

}  // namespace cadre::chat
