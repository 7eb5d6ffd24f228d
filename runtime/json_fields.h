// Fields of JSON objects that others wrote.
#pragma once

#include <boost/json/object.hpp>
#include <string>

namespace cadre::runtime {

// Empty where there is none, or no text.
std::string text_in(const boost::json::object& fields, const char* name);

}  // namespace cadre::runtime
