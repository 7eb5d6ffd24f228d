// The filters of Jinja 3.1, and tojson as transformers has it.
#pragma once

#include <string>
#include <string_view>

#include "trainer/chat/evaluator.h"

namespace cadre::chat {

// Empty where the filter exists here; else one sentence that names it.
std::string filter_problem(std::string_view name);
// Failure for one that does not exist, and for arguments that it does not take.
Value apply_filter(Evaluator& evaluator, std::string_view name, const Value& operand, const Arguments& arguments);

}  // namespace cadre::chat
