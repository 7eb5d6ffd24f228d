// What can be called by name: the functions of the environment, and the methods of values.
#pragma once

#include <string>
#include <string_view>

#include "trainer/chat/evaluator.h"

namespace cadre::chat {

bool is_global_function(std::string_view name);
// Empty, or why a name that Jinja knows is not available here.
std::string global_problem(std::string_view name);
Value call_function(Evaluator& evaluator, const MethodObject& function, const Arguments& arguments);

// Whether a value has the method; Failure that names it where Python has it and this does not.
bool has_method(const Value& self, std::string_view name);
bool has_string_method(std::string_view name);
Value call_string_method(Evaluator& evaluator, const MethodObject& method, const Arguments& arguments);

}  // namespace cadre::chat
