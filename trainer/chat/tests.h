// The tests of Jinja 3.1 (`x is defined`).
#pragma once

#include <string>
#include <string_view>

#include "trainer/chat/evaluator.h"

namespace cadre::chat {

// Empty where the test exists; else one sentence that names it.
std::string test_problem(std::string_view name);
bool apply_test(Evaluator& evaluator, std::string_view name, const Value& operand, const Arguments& arguments);

}  // namespace cadre::chat
