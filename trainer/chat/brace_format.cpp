#include <cmath>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/evaluator.h"
#include "trainer/chat/format.h"
#include "trainer/chat/text_functions.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {
namespace {

using runtime::say;

struct Spec {
  std::string fill = " ";
  char align = '\0', sign = '-', grouping = '\0', type = '\0';
  bool alternate = false, zero = false;
  Integer width = 0, precision = -1;
};

Spec parse_spec(std::string_view text) {
  Spec spec;
  std::size_t at = 0;
  const auto is_align = [&](std::size_t i) {
    return i < text.size() && (text[i] == '<' || text[i] == '>' || text[i] == '^' || text[i] == '=');
  };
  if (!text.empty()) {
    std::size_t next = 0;
    decode_at(text, next);
    if (is_align(next)) {
      spec.fill = text.substr(0, next);
      spec.align = text[next];
      at = next + 1;
    } else if (is_align(0)) {
      spec.align = text[0];
      at = 1;
    }
  }
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  const auto number = [&] {
    Integer n = 0;
    while (peek() >= '0' && peek() <= '9') {
      n = n * 10 + (peek() - '0');
      if (n > static_cast<Integer>(Budget::kMaxText)) throw Failure("too many decimal digits in format string");
      ++at;
    }
    return n;
  };
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec.sign = text[at++];
  if (peek() == '#') {
    spec.alternate = true;
    ++at;
  }
  if (peek() == '0') {
    spec.zero = true;
    ++at;
  }
  spec.width = number();
  if (peek() == ',' || peek() == '_') spec.grouping = text[at++];
  if (peek() == '.') {
    ++at;
    if (peek() < '0' || peek() > '9') throw Failure("format specifier missing precision");
    spec.precision = number();
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) throw Failure(say("the format specifier '", text, "' is not implemented"));
  return spec;
}

std::string group(const std::string& digits, char separator, std::size_t every) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

Text align(const Spec& spec, const Text& text, char fallback) {
  const char to = spec.align != '\0' ? spec.align : fallback;
  const auto length = static_cast<Integer>(count_characters(text.view()));
  if (spec.width <= length) return text;
  const auto missing = static_cast<std::uint64_t>(spec.width - length);
  Budget::allocate(missing * spec.fill.size() + text.size());
  const std::uint64_t left = to == '<' ? 0 : to == '^' ? missing / 2 : missing;
  std::string before, after;
  for (std::uint64_t i = 0; i < missing; ++i) (i < left ? before : after) += spec.fill;
  Text out;
  out.append(before);
  out.append(text);
  out.append(after);
  return out;
}

Text finish_number(Spec spec, bool negative, const std::string& prefix, std::string digits, std::int32_t message) {
  if (spec.zero && spec.align == '\0') {
    spec.align = '=';
    spec.fill = "0";
  }
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.align == '=') {
    const auto taken = static_cast<Integer>(sign.size() + prefix.size() + digits.size());
    if (spec.width > taken) {
      if (spec.grouping != '\0' && spec.fill == "0") throw Failure("grouping with zero padding is not implemented");
      Budget::allocate(static_cast<std::uint64_t>(spec.width) * spec.fill.size());
      std::string padding;
      for (Integer i = taken; i < spec.width; ++i) padding += spec.fill;
      digits = padding + digits;
    }
  }
  return align(spec, Text(sign + prefix + digits, {.message = message}), '>');
}

Text format_integer(const Spec& spec, const Value& value) {
  const Integer i = value.as_integer();
  if (spec.precision >= 0) throw Failure("precision not allowed in integer format specifier");
  if (spec.type == 'c') throw Failure("the format type 'c' is not implemented");
  const int base = spec.type == 'b' ? 2 : spec.type == 'o' ? 8 : spec.type == 'x' || spec.type == 'X' ? 16 : 10;
  std::string digits = format_magnitude(i, base, spec.type == 'X');
  if (spec.grouping == ',' && base != 10) throw Failure("cannot specify ',' with this format type");
  if (spec.grouping != '\0') digits = group(digits, spec.grouping, base == 10 ? 3 : 4);
  const std::string prefix = spec.alternate && base != 10 ? std::string("0") + spec.type : "";
  return finish_number(spec, i < 0, prefix, digits, value.origin());
}

Text format_float(const Spec& spec, const Value& value) {
  const double d = value.as_float();
  std::string digits;
  if (spec.type == '%') {
    digits = format_double(d * 100, 'f', spec.precision < 0 ? 6 : spec.precision, spec.alternate) + "%";
  } else if (spec.type == '\0') {
    if (spec.precision >= 0) throw Failure("a float format with a precision but no type is not implemented");
    digits = float_text(d);
  } else {
    const char type = spec.type == 'n' ? 'g' : spec.type;
    Integer precision = spec.precision < 0 ? 6 : spec.precision;
    if ((type == 'g' || type == 'G') && precision == 0) precision = 1;
    digits = format_double(d, type, precision, spec.alternate);
  }
  const bool negative = digits[0] == '-';
  if (negative) digits.erase(0, 1);
  if (spec.grouping != '\0' && std::isfinite(d)) {
    const std::size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
    digits = group(digits.substr(0, whole), spec.grouping, 3) + digits.substr(whole);
  }
  return finish_number(spec, negative, "", digits, value.origin());
}

Text format_value(const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return to_text(value);
  const Spec spec = parse_spec(spec_text);
  const std::string_view integer_types = "dbcoxXn", float_types = "eEfFgG%n";
  const auto is_type = [&](std::string_view types) { return types.find(spec.type) != std::string_view::npos; };
  if (value.is_string()) {
    if (spec.type != '\0' && spec.type != 's') throw Failure(say("unknown format code '", spec.type, "' for a string"));
    if (spec.align == '=' || spec.grouping != '\0' || spec.sign != '-') throw Failure("this format is not for strings");
    std::size_t end = value.as_text().size();
    if (spec.precision >= 0) {
      end = 0;
      for (Integer i = 0; i < spec.precision && end < value.as_text().size(); ++i) decode_at(value.as_bytes(), end);
    }
    Spec padded = spec;
    if (spec.zero && spec.align == '\0') padded.fill = "0";
    return align(padded, value.as_text().slice(0, end), '<');
  }
  if (value.is_integral() && (spec.type == '\0' || is_type(integer_types))) return format_integer(spec, value);
  if (value.is_number() && (spec.type == '\0' || is_type(float_types))) return format_float(spec, value);
  if (value.is_number()) throw Failure(say("unknown format code '", spec.type, "' for a number"));
  throw Failure(say("unsupported format string for a ", type_name(value)));
}

class BraceFormatter {
 public:
  BraceFormatter(Evaluator& evaluator, const Arguments& arguments) : evaluator_(evaluator), arguments_(arguments) {}

  Text run(const Text& text, int depth) {
    if (depth > 2) throw Failure("max string recursion exceeded");
    const std::string_view bytes = text.view();
    Text out;
    std::size_t plain = 0;
    for (std::size_t at = 0; at < bytes.size();) {
      const char c = bytes[at];
      if (c != '{' && c != '}') {
        ++at;
        continue;
      }
      out.append(text, plain, at);
      if (at + 1 < bytes.size() && bytes[at + 1] == c) {
        out.append(text, at, at + 1);
        at += 2;
      } else if (c == '}') {
        throw Failure("single '}' encountered in format string");
      } else {
        const std::size_t end = field_end(bytes, at + 1);
        out.append(field(bytes.substr(at + 1, end - at - 1), depth));
        if (out.size() > Budget::kMaxText) Budget::allocate(out.size());
        at = end + 1;
      }
      plain = at;
    }
    out.append(text, plain, bytes.size());
    return out;
  }

 private:
  static std::size_t field_end(std::string_view text, std::size_t at) {
    int open = 1;
    for (; at < text.size(); ++at) {
      if (text[at] == '{') ++open;
      if (text[at] == '}' && --open == 0) return at;
    }
    throw Failure("expected '}' before end of string");
  }

  Text field(std::string_view text, int depth) {
    std::size_t name_end = 0;
    for (bool bracket = false; name_end < text.size(); ++name_end) {
      if (text[name_end] == '[') bracket = true;
      if (text[name_end] == ']') bracket = false;
      if (!bracket && (text[name_end] == '!' || text[name_end] == ':')) break;
    }
    Value value = look_up(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    if (rest.starts_with("!")) {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':')) throw Failure("bad conversion in format string");
      if (rest[1] == 'r')
        value = Value::string(to_repr(value));
      else if (rest[1] == 's')
        value = Value::string(to_text(value));
      else
        throw Failure(say("the conversion !", rest.substr(1, 1), " is not implemented"));
      rest = rest.substr(2);
    }
    std::string spec;
    if (rest.starts_with(":")) spec = run(Text(std::string(rest.substr(1))), depth + 1).bytes();
    return format_value(value, spec);
  }

  Value look_up(std::string_view path) {
    const std::size_t first_end = std::min(path.find_first_of(".["), path.size());
    const std::string_view first = path.substr(0, first_end);
    Value value = first_value(first);
    std::string_view rest = path.substr(first_end);
    while (!rest.empty()) {
      if (rest[0] == '.') {
        const std::size_t end = std::min(rest.find_first_of(".[", 1), rest.size());
        if (end == 1) throw Failure("empty attribute in format string");
        value = evaluator_.attribute(value, rest.substr(1, end - 1));
        rest = rest.substr(end);
      } else if (rest[0] == '[') {
        const std::size_t end = rest.find(']');
        if (end == std::string_view::npos || end == 1) throw Failure("missing ']' or empty index in format string");
        const std::string_view key = rest.substr(1, end - 1);
        const bool numeric = key.size() < 10 && key.find_first_not_of("0123456789") == std::string_view::npos;
        value = evaluator_.item(value, numeric ? Value::integer(std::stoi(std::string(key))) : Value::string(key));
        rest = rest.substr(end + 1);
      } else {
        throw Failure("only '.' or '[' may follow ']' in a format field");
      }
    }
    return value;
  }

  Value first_value(std::string_view name) {
    const bool numeric = name.size() < 10 && name.find_first_not_of("0123456789") == std::string_view::npos;
    if (numeric) {
      if (name.empty() ? numbered_ : automatic_ > 0) {
        throw Failure("cannot switch between automatic and manual field numbering");
      }
      if (!name.empty()) numbered_ = true;
      const std::size_t i = name.empty() ? automatic_++ : static_cast<std::size_t>(std::stoi(std::string(name)));
      if (i >= arguments_.positional.size()) throw Failure(say("replacement index ", i, " out of range"));
      return arguments_.positional[i];
    }
    for (const Keyword& keyword : arguments_.keywords) {
      if (keyword.name == name) return keyword.value;
    }
    throw Failure(say("the format's key '", name, "' is missing"));
  }

  Evaluator& evaluator_;
  const Arguments& arguments_;
  std::size_t automatic_ = 0;
  bool numbered_ = false;
};

}  // namespace

Text brace_format(Evaluator& evaluator, const Value& format, const Arguments& arguments) {
  return BraceFormatter(evaluator, arguments).run(format.as_text(), 1);
}

}  // namespace cadre::chat
