// Filters that make or take numbers.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "runtime/error.h"
#include "trainer/chat/filter_call.h"
#include "trainer/chat/format.h"
#include "trainer/chat/operators.h"
#include "trainer/chat/text_functions.h"

namespace cadre::chat {
namespace {

using runtime::say;

// Without white space around and single underscores between digits; nothing where underscores stand elsewhere.
std::optional<std::string> clean_number(const Value& text) {
  const std::string bytes = strip(text.as_text(), nullptr, Side::kBoth).bytes();
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto is_alnum = [&](std::size_t k) {
      return k < bytes.size() && std::isalnum(static_cast<unsigned char>(bytes[k])) != 0;
    };
    if (bytes[i] != '_')
      out.push_back(bytes[i]);
    else if (i == 0 || !is_alnum(i - 1) || !is_alnum(i + 1))
      return std::nullopt;
  }
  return out;
}

std::optional<Integer> parse_integer(const Value& text, Integer base) {
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  const std::optional<std::string> cleaned = clean_number(text);
  if (!cleaned) return std::nullopt;
  std::string_view digits = *cleaned;
  const bool negative = digits.starts_with("-");
  if (negative || digits.starts_with("+")) digits.remove_prefix(1);
  const auto prefixed = [&](char mark, int prefix_base) {
    if (digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) == mark && (base == prefix_base || base == 0)) {
      digits.remove_prefix(2);
      base = prefix_base;
    }
  };
  prefixed('x', 16);
  prefixed('o', 8);
  prefixed('b', 2);
  if (base == 0) {
    if (digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != std::string_view::npos)
      return std::nullopt;
    base = 10;
  }
  if (digits.empty()) return std::nullopt;
  Integer value = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                               : 99;
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, base, &value) ||
        __builtin_add_overflow(value, static_cast<Integer>(digit), &value)) {
      throw Failure("integers of more than 127 bits are not implemented");
    }
  }
  return negative ? -value : value;
}

std::optional<double> parse_float(const Value& text) {
  const std::optional<std::string> cleaned = clean_number(text);
  if (!cleaned || cleaned->empty()) return std::nullopt;
  std::string_view rest = *cleaned;
  if (rest[0] == '+') {
    rest.remove_prefix(1);
    if (rest.starts_with("-")) return std::nullopt;
  }
  double value = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (read.ptr != rest.data() + rest.size() || rest.find('(') != std::string_view::npos) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) return std::strtod(std::string(rest).c_str(), nullptr);
  if (read.ec != std::errc()) return std::nullopt;
  return value;
}

Value truncate_float(double value) {
  if (std::isinf(value)) throw Failure("cannot convert float infinity to integer");
  if (std::fabs(value) >= 1.7e38) throw Failure("integers of more than 127 bits are not implemented");
  return Value::integer(static_cast<Integer>(value));
}

Value int_filter(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"default", "base"});
  const Value fallback = bound.value_or(0, Value::integer(0));
  const Value& value = call.operand;
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_integral()) return Value::integer(value.as_integer());
  if (value.is(Kind::kFloat)) return std::isnan(value.as_float()) ? fallback : truncate_float(value.as_float());
  if (!value.is_string()) return fallback;
  if (const auto parsed = parse_integer(value, bound.integer_or(1, 10))) return Value::integer(*parsed);
  const std::optional<double> parsed = parse_float(value);
  return !parsed || !std::isfinite(*parsed) ? fallback : truncate_float(*parsed);
}

Value float_filter(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"default"});
  if (call.operand.is_undefined()) fail_undefined(call.operand);
  if (call.operand.is_number()) return Value::floating(call.operand.as_float());
  const std::optional<double> parsed = call.operand.is_string() ? parse_float(call.operand) : std::nullopt;
  return parsed ? Value::floating(*parsed) : bound.value_or(0, Value::floating(0));
}

Value abs_filter(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
  if (call.operand.is_undefined()) fail_undefined(call.operand);
  if (call.operand.is(Kind::kFloat)) return Value::floating(std::fabs(call.operand.as_float()));
  if (!call.operand.is_integral()) throw Failure(say("bad operand type for abs(): '", type_name(call.operand), "'"));
  return negate(call.operand, call.operand.as_integer() < 0);
}

// Half to even, exact on the decimal value, as Python's round.
double round_float(double value, Integer precision) {
  if (!std::isfinite(value) || precision > 320) return value;
  if (precision >= 0) return std::strtod(format_double(value, 'f', precision, false).c_str(), nullptr);
  if (precision < -310) return std::copysign(0.0, value);
  const double power = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / power) * power;
}

Value round_filter(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"precision", "method"});
  const Integer precision = bound.integer_or(0, 0);
  const std::string method = bound.has(1) ? std::string(bound.string(1).as_bytes()) : "common";
  const Value& value = call.operand;
  if (value.is_undefined()) fail_undefined(value);
  if (method != "common" && method != "ceil" && method != "floor")
    throw Failure("method must be common, ceil or floor");
  if (!value.is_number()) throw Failure(say("type ", type_name(value), " cannot be rounded"));
  if (method == "common") {
    if (!value.is_integral()) return Value::floating(round_float(value.as_float(), precision));
    if (precision >= 0) return Value::integer(value.as_integer());
    if (precision < -37) return Value::integer(0);
    Integer unit = 1;
    for (Integer i = precision; i < 0; ++i) unit *= 10;
    const Integer i = value.as_integer();
    Integer whole = i / unit, rest = i % unit;
    if (rest < 0) {
      rest += unit;
      --whole;
    }
    if (rest > unit - rest || (rest == unit - rest && whole % 2 != 0)) ++whole;
    return arithmetic("*", Value::integer(whole), Value::integer(unit));
  }
  const Value power = arithmetic("**", Value::integer(10), Value::integer(precision));
  const Value scaled = arithmetic("*", value, power);
  Value whole = scaled;
  if (scaled.is(Kind::kFloat)) {
    whole = truncate_float(method == "ceil" ? std::ceil(scaled.as_float()) : std::floor(scaled.as_float()));
  }
  return arithmetic("/", whole, power);
}

Value file_size(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"binary"});
  const Value parsed = float_filter({call.evaluator, call.operand, {}, "float"});
  const double bytes = parsed.as_float();
  if (!call.operand.is_number() && !(call.operand.is_string() && parse_float(call.operand))) {
    throw Failure("the filter 'filesizeformat' expects a number");
  }
  const bool binary = bound.truth_or(0, false);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) return Value::string(say(static_cast<std::int64_t>(std::fmax(bytes, -9e18)), " Bytes"));
  double unit = base;
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  for (std::size_t i = 0;; ++i) {
    unit *= base;
    if (bytes < unit || i + 1 == kPrefixes.size()) {
      const char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
      return Value::string(say(format_double(base * bytes / unit, 'f', 1, false), " ", prefix, binary ? "iB" : "B"));
    }
  }
}

}  // namespace

const FilterTable& number_filters() {
  static const FilterTable kTable = {{"int", int_filter},
                                     {"float", float_filter},
                                     {"abs", abs_filter},
                                     {"round", round_filter},
                                     {"filesizeformat", file_size}};
  return kTable;
}

}  // namespace cadre::chat
