#include "trainer/chat/arguments.h"

#include <algorithm>

#include "runtime/error.h"

namespace cadre::chat {

using runtime::say;

Bound::Bound(std::string what, const Arguments& arguments, std::initializer_list<std::string_view> parameters,
             std::size_t required)
    : what_(std::move(what)), values_(parameters.size()) {
  if (arguments.positional.size() > parameters.size()) {
    throw Failure(
        say(what_, " takes at most ", parameters.size(), " argument(s), found ", arguments.positional.size()));
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), values_.begin());
  for (const Keyword& keyword : arguments.keywords) {
    const auto* found = std::find(parameters.begin(), parameters.end(), keyword.name);
    if (found == parameters.end()) throw Failure(say(what_, " takes no keyword argument '", keyword.name, "'"));
    auto& slot = values_[static_cast<std::size_t>(found - parameters.begin())];
    if (slot) throw Failure(say(what_, " got multiple values for argument '", keyword.name, "'"));
    slot = keyword.value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!values_[i]) throw Failure(say(what_, " misses the argument '", *(parameters.begin() + i), "'"));
  }
}

Integer Bound::integer_or(std::size_t i, Integer fallback) const {
  if (!has(i)) return fallback;
  if (values_[i]->is_undefined()) fail_undefined(*values_[i]);
  if (!values_[i]->is_integral()) throw Failure(say(what_, " expects an integer, found ", type_name(*values_[i])));
  return values_[i]->as_integer();
}

const Value& Bound::string(std::size_t i) const {
  if (values_[i]->is_undefined()) fail_undefined(*values_[i]);
  if (!values_[i]->is_string()) throw Failure(say(what_, " expects a string, found ", type_name(*values_[i])));
  return *values_[i];
}

}  // namespace cadre::chat
