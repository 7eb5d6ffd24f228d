#include "trainer/chat/operators.h"

#include <algorithm>
#include <cmath>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/format.h"
#include "trainer/chat/markup.h"

namespace cadre::chat {
namespace {

using runtime::say;

[[noreturn]] void fail_overflow() {
  throw Failure("integers of more than 127 bits are not implemented");
}

[[noreturn]] void fail_operands(std::string_view op, const Value& left, const Value& right) {
  throw Failure(say("unsupported operand type(s) for ", op, ": '", type_name(left), "' and '", type_name(right), "'"));
}

Integer power(Integer base, Integer exponent) {
  Integer out = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) fail_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
      if (out == 0) return 0;
      fail_overflow();
    }
  }
  return out;
}

Value integer_arithmetic(std::string_view op, Integer a, Integer b) {
  Integer out = 0;
  if (op == "+") {
    if (__builtin_add_overflow(a, b, &out)) fail_overflow();
  } else if (op == "-") {
    if (__builtin_sub_overflow(a, b, &out)) fail_overflow();
  } else if (op == "*") {
    if (__builtin_mul_overflow(a, b, &out)) fail_overflow();
  } else if (op == "**") {
    if (b >= 0) return Value::integer(power(a, b));
    if (a == 0) throw Failure("0.0 cannot be raised to a negative power");
    return Value::floating(std::pow(static_cast<double>(a), static_cast<double>(b)));
  } else {
    if (b == 0) throw Failure(op == "/" ? "division by zero" : "integer division or modulo by zero");
    if (op == "/") return Value::floating(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) return op == "%" ? Value::integer(0) : integer_arithmetic("-", 0, a);
    const Integer quotient = a / b, rest = a % b;
    const bool adjust = rest != 0 && (rest < 0) != (b < 0);
    out = op == "%" ? rest + (adjust ? b : 0) : quotient - (adjust ? 1 : 0);
  }
  return Value::integer(out);
}

Value float_arithmetic(std::string_view op, double a, double b) {
  if (op == "+") return Value::floating(a + b);
  if (op == "-") return Value::floating(a - b);
  if (op == "*") return Value::floating(a * b);
  if (op == "**") {
    if (a == 0 && b < 0) throw Failure("0.0 cannot be raised to a negative power");
    if (a < 0 && std::floor(b) != b && !std::isinf(b)) throw Failure("complex numbers are not implemented");
    const double out = std::pow(a, b);
    if (std::isinf(out) && !std::isinf(a) && !std::isinf(b)) throw Failure("numerical result out of range");
    return Value::floating(out);
  }
  if (b == 0) throw Failure(op == "/" ? "float division by zero" : "float floor division by zero");
  if (op == "/") return Value::floating(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) {
      rest += b;
      quotient -= 1;
    }
  } else {
    rest = std::copysign(0.0, b);
  }
  if (op == "%") return Value::floating(rest);
  if (quotient == 0) return Value::floating(std::copysign(0.0, a / b));
  double whole = std::floor(quotient);
  if (quotient - whole > 0.5) whole += 1;
  return Value::floating(whole);
}

Value repeat(const Value& sequence, Integer times) {
  const auto n = static_cast<std::uint64_t>(std::clamp<Integer>(times, 0, 1LL << 40));
  if (sequence.is_string()) {
    const Text& text = sequence.as_text();
    if (n != 0 && text.size() > Budget::kMaxText / n) Budget::allocate(Budget::kMaxText + 1);
    Budget::allocate(n * text.size() + n * text.segments().size() * sizeof(Segment));
    Text out;
    if (!text.empty()) {
      for (std::uint64_t i = 0; i < n; ++i) out.append(text);
    }
    return Value::string(std::move(out));
  }
  const std::vector<Value>& items = sequence.items();
  if (n != 0 && items.size() > Budget::kMaxText / n) Budget::allocate(Budget::kMaxText + 1);
  Budget::allocate(n * items.size() * sizeof(Value));
  std::vector<Value> out;
  if (!items.empty()) {
    for (std::uint64_t i = 0; i < n; ++i) out.insert(out.end(), items.begin(), items.end());
  }
  return sequence.is(Kind::kList) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

bool is_sequence(const Value& value) {
  return value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple);
}

// Start, step and count of a slice over `length` items.
struct Steps {
  std::int64_t start = 0, step = 1;
  std::uint64_t count = 0;
};

Steps resolve(const SliceBounds& bounds, std::uint64_t length) {
  const auto n = static_cast<Integer>(length);
  const auto integer = [](const Value& value) {
    if (!value.is_integral()) throw Failure("slice indices must be integers or None");
    return value.as_integer();
  };
  const Integer step = bounds.step.is_none() ? 1 : integer(bounds.step);
  if (step == 0) throw Failure("slice step cannot be zero");
  const Integer low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  const auto bound = [&](const Value& value, Integer fallback) {
    if (value.is_none()) return fallback;
    Integer i = integer(value);
    if (i < 0) i = i < -n ? low : i + n;
    return std::clamp(i, low, high);
  };
  const Integer start = bound(bounds.start, step > 0 ? low : high);
  const Integer stop = bound(bounds.stop, step > 0 ? high : low);
  const Integer distance = step > 0 ? stop - start : start - stop;
  const Integer stride = step > 0 ? step : (step < -(n + 1) ? n + 1 : -step);
  const Integer count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  return {.start = static_cast<std::int64_t>(start),
          .step = static_cast<std::int64_t>(std::clamp(step, -(n + 1), n + 1)),
          .count = static_cast<std::uint64_t>(count)};
}

Value slice_string(const Value& value, const SliceBounds& bounds) {
  const Text& text = value.as_text();
  const Steps steps = resolve(bounds, length_of(value));
  if (steps.count == 0) return Value::string("");
  Budget::work(text.size() / 4);
  if (value.as<StringObject>().ascii && steps.step == 1) {
    const auto begin = static_cast<std::size_t>(steps.start);
    return Value::string(text.slice(begin, begin + steps.count));
  }
  Budget::allocate(text.size() * sizeof(std::uint32_t));
  std::vector<std::uint32_t> starts;  // of each character, and the end
  for (std::size_t at = 0; at < text.size();) {
    starts.push_back(static_cast<std::uint32_t>(at));
    decode_at(text.view(), at);
  }
  starts.push_back(static_cast<std::uint32_t>(text.size()));
  const auto first = static_cast<std::size_t>(steps.start);
  if (steps.step == 1) return Value::string(text.slice(starts[first], starts[first + steps.count]));
  Text out;
  std::int64_t i = steps.start;
  for (std::uint64_t k = 0; k < steps.count; ++k, i += steps.step) {
    Budget::work(2);
    out.append(text, starts[static_cast<std::size_t>(i)], starts[static_cast<std::size_t>(i) + 1]);
  }
  return Value::string(std::move(out));
}

}  // namespace

Value concatenate(const Value& left, const Value& right) {
  if (left.as<StringObject>().escaped || right.as<StringObject>().escaped) return concatenate_markup(left, right);
  Budget::allocate(left.as_text().size() + right.as_text().size());
  Text out = left.as_text();
  out.append(right.as_text());
  return Value::string(std::move(out));
}

Value arithmetic(std::string_view op, const Value& left, const Value& right) {
  if (left.is_undefined()) fail_undefined(left);
  if (left.is_string() && op == "%") return Value::string(percent_format(left, right));
  if (right.is_undefined()) fail_undefined(right);
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral()) return integer_arithmetic(op, left.as_integer(), right.as_integer());
    return float_arithmetic(op, left.as_float(), right.as_float());
  }
  if (op == "+" && left.is_string() && right.is_string()) return concatenate(left, right);
  if (op == "+" && left.kind() == right.kind() && is_sequence(left)) {
    Budget::allocate((left.items().size() + right.items().size()) * sizeof(Value));
    std::vector<Value> items = left.items();
    items.insert(items.end(), right.items().begin(), right.items().end());
    return left.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  if (op == "*" && is_sequence(left) && right.is_integral()) return repeat(left, right.as_integer());
  if (op == "*" && is_sequence(right) && left.is_integral()) return repeat(right, left.as_integer());
  fail_operands(op, left, right);
}

Value negate(const Value& value, bool negative) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is(Kind::kFloat)) return Value::floating(negative ? -value.as_float() : value.as_float());
  if (value.is_integral())
    return negative ? integer_arithmetic("-", 0, value.as_integer()) : Value::integer(value.as_integer());
  throw Failure(say("bad operand type for unary ", negative ? "-" : "+", ": '", type_name(value), "'"));
}

bool compare(std::string_view op, const Value& left, const Value& right) {
  if (op == "==") return equal(left, right);
  if (op == "!=") return !equal(left, right);
  if (op == "in") return contains(right, left);
  if (op == "not in") return !contains(right, left);
  const auto is_nan = [](const Value& value) { return value.is(Kind::kFloat) && std::isnan(value.as_float()); };
  if (is_nan(left) || is_nan(right)) {
    if (left.is_number() && right.is_number()) return false;
  }
  if (op == "<") return less(left, right);
  if (op == ">") return less(right, left);
  if (op == "<=") return !less(right, left);
  return !less(left, right);
}

std::int64_t resolve_index(Integer index, std::uint64_t length) {
  const auto n = static_cast<Integer>(length);
  if (index < 0) index += n;
  return index < 0 || index >= n ? -1 : static_cast<std::int64_t>(index);
}

std::pair<std::size_t, std::size_t> character_bytes(const Value& string, std::uint64_t index) {
  if (string.as<StringObject>().ascii) return {index, index + 1};
  const std::string_view bytes = string.as_bytes();
  Budget::work(bytes.size() / 2);
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < index; ++i) decode_at(bytes, at);
  const std::size_t begin = at;
  decode_at(bytes, at);
  return {begin, at};
}

Value slice(const Value& object, const SliceBounds& bounds) {
  if (object.is_undefined()) fail_undefined(object);
  if (object.is_string()) return slice_string(object, bounds);
  if (object.is(Kind::kRange)) {
    const auto& range = object.as<RangeObject>();
    const Steps steps = resolve(bounds, range.length);
    auto out = std::make_shared<RangeObject>();
    out->start = range.start + steps.start * range.step;
    out->step = range.step * steps.step;
    out->length = steps.count;
    out->stop = out->start + static_cast<Integer>(steps.count) * out->step;
    return {Kind::kRange, std::move(out)};
  }
  if (!object.is(Kind::kList) && !object.is(Kind::kTuple)) {
    return Value::undefined(say("'", type_name(object), "' object cannot be sliced"));
  }
  const Steps steps = resolve(bounds, object.items().size());
  Budget::allocate(steps.count * sizeof(Value));
  std::vector<Value> items;
  std::int64_t i = steps.start;
  for (std::uint64_t k = 0; k < steps.count; ++k, i += steps.step)
    items.push_back(object.items()[static_cast<std::size_t>(i)]);
  if (object.is(Kind::kTuple)) return Value::tuple(std::move(items));
  return Value::list(std::move(items), object.as<ListObject>().origin);
}

}  // namespace cadre::chat
