// JSON as Boost.JSON reads it, but with every number exactly the nearest double, as Python reads it. Boost.JSON 1.81's
// own parser is one unit off in the last place for about a fifth of the numbers of 17 digits, which a template that
// prints a tool's arguments would show.
#pragma once

#include <boost/json/error.hpp>
#include <boost/json/parse_options.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <string_view>

namespace cadre::chat {

// Reads the one value in `text`, as boost::json::parser::write and release: returns how many bytes were read and sets
// `error` where it is not one valid value; `value` is set only where there is no error.
std::size_t parse_exactly(std::string_view text, const boost::json::parse_options& options, boost::json::value& value,
                          boost::json::error_code& error);

}  // namespace cadre::chat
