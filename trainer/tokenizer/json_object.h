// Reading JSON values with errors that name the place: `tokenizer.json: pre_tokenizer.pretokenizers[1].behavior: …`.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace cadre::tokenizer {

// A value and where it stands.
class JsonPlace {
 public:
  JsonPlace(const boost::json::value& value, std::string path, const std::string& where)
      : value_(&value), path_(std::move(path)), where_(&where) {}

  const boost::json::value& value() const { return *value_; }
  std::string place() const;  // "tokenizer.json: model.vocab"
  [[noreturn]] void fail(const std::string& problem) const;

  bool is_null() const { return value_->is_null(); }
  // Of an object: the member, as null where it is absent.
  JsonPlace member(std::string_view name) const;
  bool has(std::string_view name) const;
  JsonPlace element(std::size_t index) const;
  std::size_t array_size() const;  // fails where it is no array
  void expect_object() const;

  std::string_view as_string() const;
  bool as_bool() const;
  std::uint64_t as_unsigned(std::uint64_t below) const;
  // One code point.
  char32_t as_character() const;
  bool bool_or(std::string_view name, bool absent) const;  // of a member; null counts as absent
  std::string string_or(std::string_view name, std::string_view absent) const;

 private:
  const boost::json::value* value_;
  std::string path_;
  const std::string* where_;
};

inline constexpr std::size_t kMaxJsonBytes = std::size_t{256} << 20;

// UserError with line and column where `text` is no JSON, no UTF-8, too large or nested too deep.
boost::json::value parse_tokenizer_json(std::string_view text, const std::string& where,
                                        boost::json::storage_ptr storage);

}  // namespace cadre::tokenizer
