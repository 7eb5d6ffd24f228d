#include "trainer/tokenizer/json_object.h"

#include <algorithm>
#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "runtime/error.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

constexpr std::size_t kMaxNesting = 32;

std::string shown(const boost::json::value& value) {
  if (value.is_array()) return "an array";
  if (value.is_object()) return "an object";
  if (value.is_string()) {
    const std::string_view text(value.get_string().data(), value.get_string().size());
    std::size_t end = std::min<std::size_t>(text.size(), 60);
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return boost::json::serialize(boost::json::value(boost::json::string_view(text.data(), end)));
  }
  return boost::json::serialize(value);
}

const boost::json::value kNull;

}  // namespace

std::string JsonPlace::place() const {
  return path_.empty() ? *where_ : *where_ + ": " + path_;
}

void JsonPlace::fail(const std::string& problem) const {
  throw runtime::UserError(place() + ": " + problem);
}

JsonPlace JsonPlace::member(std::string_view name) const {
  expect_object();
  const auto* const found = value_->get_object().if_contains(boost::json::string_view(name.data(), name.size()));
  return {found == nullptr ? kNull : *found, (path_.empty() ? "" : path_ + ".") + std::string(name), *where_};
}

bool JsonPlace::has(std::string_view name) const {
  return !member(name).is_null();
}

JsonPlace JsonPlace::element(std::size_t index) const {
  return {value_->get_array()[index], path_ + "[" + std::to_string(index) + "]", *where_};
}

std::size_t JsonPlace::array_size() const {
  if (!value_->is_array()) fail("expected an array, found " + shown(*value_));
  return value_->get_array().size();
}

void JsonPlace::expect_object() const {
  if (!value_->is_object()) fail("expected an object, found " + shown(*value_));
}

std::string_view JsonPlace::as_string() const {
  if (!value_->is_string()) fail("expected a string, found " + shown(*value_));
  return {value_->get_string().data(), value_->get_string().size()};
}

bool JsonPlace::as_bool() const {
  if (!value_->is_bool()) fail("expected true or false, found " + shown(*value_));
  return value_->get_bool();
}

std::uint64_t JsonPlace::as_unsigned(std::uint64_t below) const {
  std::uint64_t number = below;
  if (value_->is_int64() && value_->get_int64() >= 0) number = static_cast<std::uint64_t>(value_->get_int64());
  if (number >= below) fail(runtime::say("expected a whole number from 0 to ", below - 1, ", found ", shown(*value_)));
  return number;
}

char32_t JsonPlace::as_character() const {
  const std::string_view text = as_string();
  if (text.empty() || length_by_lead(text[0]) != text.size()) fail("expected one character, found " + shown(*value_));
  const char* at = text.data();
  return next_code_point(at);
}

bool JsonPlace::bool_or(std::string_view name, bool absent) const {
  const JsonPlace found = member(name);
  return found.is_null() ? absent : found.as_bool();
}

std::string JsonPlace::string_or(std::string_view name, std::string_view absent) const {
  const JsonPlace found = member(name);
  return std::string(found.is_null() ? absent : found.as_string());
}

boost::json::value parse_tokenizer_json(std::string_view text, const std::string& where,
                                        boost::json::storage_ptr storage) {
  if (text.size() > kMaxJsonBytes)
    throw runtime::UserError(
        runtime::say(where, ": has ", text.size(), " bytes, at most ", kMaxJsonBytes, " are read"));
  const auto place = [&](std::size_t at) {
    const std::string_view before = text.substr(0, at);
    const auto line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
    const std::size_t begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    return runtime::say(where, ":", line, ":", at - begin + 1);
  };
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (const std::size_t bad = first_invalid_byte(text); bad != std::string_view::npos)
    throw runtime::UserError(place(bad) + ": expected UTF-8, found another byte");
  boost::json::parse_options options;
  options.max_depth = kMaxNesting;
  boost::json::parser parser(std::move(storage), options);
  boost::json::error_code error;
  const std::size_t taken = parser.write_some(text.data(), text.size(), error);
  if (error)
    throw runtime::UserError(place(std::min(taken, text.size())) + ": expected JSON: " + error.message() +
                             (error == boost::json::error::incomplete ? "; the file may have been cut off" : ""));
  const std::size_t rest = text.find_first_not_of(" \t\r\n", taken);
  if (rest != std::string_view::npos)
    throw runtime::UserError(place(rest) + ": expected the end of the file after its JSON value, found more");
  return parser.release();
}

}  // namespace cadre::tokenizer
