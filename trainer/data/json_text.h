// One JSON value in a row: strict, bounded, with the row in every error.
#pragma once

#include <boost/json/parser.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace cadre::data {

inline constexpr std::size_t kMaxJsonDepth = 64;

// Where a value stands, for errors: `where:number: ` (nothing where `where` is empty: the caller adds it), then `what`
// ("the row", "the field `messages`").
struct JsonPlace {
  std::string_view where;
  std::uint64_t number;
  std::string_view what;
};

// Exactly one value (spaces around it allowed), valid UTF-8, at most kMaxJsonDepth deep, no object with one key twice.
// UserError otherwise.
boost::json::value parse_json(std::string_view text, const JsonPlace& place);

// The end of the value that begins at text[begin], by brackets and quotes alone; whether it is valid is parse_json's
// to say. npos: the text ends before the value does, or it is nested deeper than kMaxJsonDepth.
std::size_t end_of_value(std::string_view text, std::size_t begin);

// The next byte at or after `begin` that is not JSON white space, or text.size().
std::size_t skip_space(std::string_view text, std::size_t begin);

}  // namespace cadre::data
