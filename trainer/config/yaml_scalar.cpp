#include "trainer/config/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace cadre::config {
namespace {

template <std::size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

constexpr std::array<std::string_view, 5> kNulls{"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 3> kTrue{"true", "True", "TRUE"};
constexpr std::array<std::string_view, 3> kFalse{"false", "False", "FALSE"};
constexpr std::array<std::string_view, 16> kNotFinite{".inf", ".Inf",     ".INF",     ".nan",    ".NaN", ".NAN",
                                                      "inf",  "Inf",      "INF",      "nan",     "NaN",  "NAN",
                                                      "Nan",  "infinity", "Infinity", "INFINITY"};

bool all_digits(std::string_view text, int base) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [base](char c) {
    if (c >= '0' && c <= '9') return c - '0' < base;
    return base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
  });
}

std::string_view without_sign(std::string_view text) {
  return !text.empty() && (text[0] == '-' || text[0] == '+') ? text.substr(1) : text;
}

// digits [. digits] or . digits, then perhaps an exponent.
bool is_decimal(std::string_view text) {
  std::size_t i = 0;
  const auto skip_digits = [&] {
    const std::size_t from = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - from;
  };
  std::size_t digits = skip_digits();
  if (i < text.size() && text[i] == '.') ++i, digits += skip_digits();
  if (digits == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (skip_digits() == 0) return false;
  }
  return i == text.size();
}

}  // namespace

Meaning meaning_of(std::string_view plain) {
  if (is_one_of(plain, kNulls)) return Meaning::kNull;
  if (is_one_of(plain, kTrue) || is_one_of(plain, kFalse)) return Meaning::kBoolean;
  if (plain.starts_with("0o") && all_digits(plain.substr(2), 8)) return Meaning::kInteger;
  if (plain.starts_with("0x") && all_digits(plain.substr(2), 16)) return Meaning::kInteger;
  const std::string_view unsigned_part = without_sign(plain);
  if (all_digits(unsigned_part, 10)) return Meaning::kInteger;
  if (is_decimal(unsigned_part) || is_one_of(unsigned_part, kNotFinite)) return Meaning::kNumber;
  return Meaning::kText;
}

bool is_true(std::string_view boolean) {
  return is_one_of(boolean, kTrue);
}

std::optional<std::int64_t> integer_of(std::string_view integer) {
  int base = 10;
  if (integer.starts_with("0o")) base = 8, integer.remove_prefix(2);
  if (integer.starts_with("0x")) base = 16, integer.remove_prefix(2);
  if (integer.starts_with('+')) integer.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(integer.data(), integer.data() + integer.size(), value, base);
  if (error != std::errc{} || end != integer.data() + integer.size()) return std::nullopt;
  return value;
}

std::optional<double> number_of(std::string_view number) {
  if (number.starts_with("0o") || number.starts_with("0x")) {
    const auto integer = integer_of(number);
    return integer ? std::optional<double>(static_cast<double>(*integer)) : std::nullopt;
  }
  if (number.starts_with('+')) number.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc{} || end != number.data() + number.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool is_old_boolean(std::string_view plain) {
  if (plain.size() > 3) return false;
  std::string lower(plain);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  constexpr std::array<std::string_view, 6> kOld{"yes", "no", "on", "off", "y", "n"};
  return is_one_of(lower, kOld);
}

std::string write_text(const std::string& text) {
  const auto safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == '/';
  };
  const bool plain = std::all_of(text.begin(), text.end(), safe) && meaning_of(text) == Meaning::kText &&
                     !text.starts_with("-") && !text.starts_with(".") && !is_old_boolean(text);
  // A folder such as ./outputs is worth reading without quotes.
  if (plain || (text.starts_with("./") && std::all_of(text.begin(), text.end(), safe))) return text;
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += "\\x", out += kHex[(c >> 4) & 15], out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string write_number(double number) {
  std::array<char, 32> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  std::string text(digits.data(), error == std::errc{} ? end : digits.data());
  // YAML 1.1 readers take 1e-06 for a text and 1.0e-06 for a number; both are one here.
  const std::size_t e = text.find('e');
  if (e != std::string::npos && text.find('.') == std::string::npos) text.insert(e, ".0");
  return text;
}

}  // namespace cadre::config
