// Python's two ways to format: "…" % values and "…".format(…).
#pragma once

#include <string>
#include <string_view>

#include "trainer/chat/value.h"

namespace cadre::chat {

class Evaluator;

// `values`: a tuple, a dict for %(name)s, or one value.
Text percent_format(const Value& format, const Value& values);
Text brace_format(Evaluator& evaluator, const Value& format, const Arguments& arguments);

// A number in one of C's conversions e, E, f, F, g, G. Failure for more than 1000 digits after the point.
std::string format_double(double value, char conversion, Integer precision, bool alternate);
// |value| in base 2, 8, 10 or 16, without a prefix.
std::string format_magnitude(Integer value, int base, bool capitals);

}  // namespace cadre::chat
