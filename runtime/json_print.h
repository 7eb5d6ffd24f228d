// JSON text as people and other programs expect it. Boost.JSON's own printer writes 0.1 as 1E-1 and has no null for a
// number that JSON lacks.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace cadre::runtime {

// One line, keys in the object's order. A double has the fewest digits that give it back and keeps a point or an
// exponent, so that it is read as a double again; NaN and infinities become null.
std::string json_line(const boost::json::value& value);

// The same with two spaces of indentation, without an end of line.
std::string json_pretty(const boost::json::value& value);

}  // namespace cadre::runtime
