#include <cmath>
#include <cstdio>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/format.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {

using runtime::say;

std::string format_double(double value, char conversion, Integer precision, bool alternate) {
  if (precision > 1000) throw Failure("formatting with more than 1000 digits is not implemented");
  const bool capital = conversion >= 'A' && conversion <= 'Z';
  if (std::isnan(value)) return capital ? "NAN" : "nan";
  if (std::isinf(value)) return std::string(value < 0 ? "-" : "") + (capital ? "INF" : "inf");
  const std::string pattern = std::string(alternate ? "%#.*" : "%.*") + conversion;
  std::string out(1400, '\0');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const int n = std::snprintf(out.data(), out.size(), pattern.c_str(), static_cast<int>(precision), value);
#pragma GCC diagnostic pop
  out.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return out;
}

std::string format_magnitude(Integer value, int base, bool capitals) {
  if (base == 10) {
    std::string digits = integer_text(value);
    return digits[0] == '-' ? digits.substr(1) : digits;
  }
  __extension__ typedef unsigned __int128 Unsigned;
  Unsigned rest = value < 0 ? Unsigned{0} - static_cast<Unsigned>(value) : static_cast<Unsigned>(value);
  const std::string_view digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out.insert(out.begin(), digits[static_cast<std::size_t>(rest % static_cast<unsigned>(base))]);
    rest /= static_cast<unsigned>(base);
  } while (rest != 0);
  return out;
}

namespace {

struct Conversion {
  bool minus = false, plus = false, space = false, alternate = false, zero = false;
  Integer width = -1, precision = -1;
  char type = '\0';
};

class PercentFormatter {
 public:
  PercentFormatter(const Value& format, const Value& values) : text_(format.as_text()), values_(values) {}

  Text run() {
    const std::string_view bytes = text_.view();
    std::size_t plain = 0;
    while (at_ < bytes.size()) {
      if (bytes[at_] != '%') {
        ++at_;
        continue;
      }
      out_.append(text_, plain, at_);
      ++at_;
      convert();
      plain = at_;
    }
    out_.append(text_, plain, bytes.size());
    const bool lenient = values_.is(Kind::kDict) || values_.is(Kind::kList) || values_.is(Kind::kRange);
    const std::size_t given = values_.is(Kind::kTuple) ? values_.items().size() : 1;
    if (!lenient && used_ < given) throw Failure("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  char peek() const { return at_ < text_.size() ? text_.bytes()[at_] : '\0'; }

  const Value& next() {
    if (values_.is(Kind::kTuple)) {
      if (used_ >= values_.items().size()) throw Failure("not enough arguments for format string");
      return values_.items()[used_++];
    }
    if (used_ > 0) throw Failure("not enough arguments for format string");
    ++used_;
    return values_;
  }

  Integer number() {
    if (peek() == '*') {
      ++at_;
      const Value& value = next();
      if (!value.is_integral()) throw Failure("* wants an integer in a format");
      return value.as_integer();
    }
    Integer n = 0;
    while (peek() >= '0' && peek() <= '9') {
      n = n * 10 + (peek() - '0');
      if (n > static_cast<Integer>(Budget::kMaxText)) throw Failure("width too big in a format");
      ++at_;
    }
    return n;
  }

  void convert() {
    std::string key;
    bool has_key = false;
    if (peek() == '(') {
      int open = 1;
      for (++at_; at_ < text_.size(); ++at_) {
        if (peek() == '(') ++open;
        if (peek() == ')' && --open == 0) break;
        key.push_back(peek());
      }
      if (at_ >= text_.size()) throw Failure("incomplete format key");
      ++at_;
      has_key = true;
    }
    Conversion conversion;
    for (bool flags = true; flags;) {
      switch (peek()) {
        case '-':
          conversion.minus = true;
          break;
        case '+':
          conversion.plus = true;
          break;
        case ' ':
          conversion.space = true;
          break;
        case '#':
          conversion.alternate = true;
          break;
        case '0':
          conversion.zero = true;
          break;
        default:
          flags = false;
          continue;
      }
      ++at_;
    }
    if (peek() == '*' || (peek() >= '0' && peek() <= '9')) conversion.width = number();
    if (conversion.width < -1) {
      conversion.minus = true;
      conversion.width = -conversion.width;
    }
    if (peek() == '.') {
      ++at_;
      conversion.precision = number();
      if (conversion.precision < 0) conversion.precision = 0;
    }
    if (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at_;
    if (at_ >= text_.size()) throw Failure("incomplete format");
    conversion.type = peek();
    ++at_;
    if (conversion.type == '%') {
      out_.append("%");
      return;
    }
    if (!has_key) {
      write(conversion, next());
      return;
    }
    if (!values_.is(Kind::kDict)) throw Failure("format requires a mapping");
    const Value* value = values_.as<DictObject>().find(key);
    if (value == nullptr) throw Failure(say("the format's key '", key, "' is missing"));
    used_ = 1;
    write(conversion, *value);
  }

  void write(const Conversion& conversion, const Value& value) {
    switch (conversion.type) {
      case 's':
        write_text(conversion, to_text(value));
        return;
      case 'r':
        write_text(conversion, to_repr(value));
        return;
      case 'c': {
        if (value.is_string() && length_of(value) == 1) {
          write_text(conversion, value.as_text());
          return;
        }
        if (!value.is_integral()) throw Failure("%c requires int or char");
        const Integer code = value.as_integer();
        if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
          throw Failure("%c arg not in range(0x110000)");
        std::string character;
        append_utf8(character, static_cast<char32_t>(code));
        write_text(conversion, Text(character));
        return;
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        write_integer(conversion, value);
        return;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        if (value.is_undefined()) fail_undefined(value);
        if (!value.is_number()) throw Failure(say("must be real number, not ", type_name(value)));
        std::string digits = format_double(value.as_float(), conversion.type,
                                           conversion.precision < 0 ? 6 : conversion.precision, conversion.alternate);
        const bool negative = digits[0] == '-';
        write_number(conversion, negative, "", negative ? digits.substr(1) : digits, value.origin());
        return;
      }
      default:
        throw Failure(say("the format %", conversion.type, " is not implemented"));
    }
  }

  void write_integer(const Conversion& conversion, const Value& value) {
    if (value.is_undefined()) fail_undefined(value);
    const bool decimal = conversion.type != 'x' && conversion.type != 'X' && conversion.type != 'o';
    Integer i = 0;
    if (value.is_integral()) {
      i = value.as_integer();
    } else if (value.is(Kind::kFloat) && decimal) {
      if (!(std::fabs(value.as_float()) < 1e37)) throw Failure("integers of more than 127 bits are not implemented");
      i = static_cast<Integer>(value.as_float());
    } else {
      throw Failure(say("%", conversion.type, " format: a number is required, not ", type_name(value)));
    }
    const int base = decimal ? 10 : conversion.type == 'o' ? 8 : 16;
    std::string digits = format_magnitude(i, base, conversion.type == 'X');
    if (conversion.precision > 1000) throw Failure("formatting with more than 1000 digits is not implemented");
    if (conversion.precision > static_cast<Integer>(digits.size())) {
      digits.insert(0, static_cast<std::size_t>(conversion.precision) - digits.size(), '0');
    }
    const std::string prefix = !conversion.alternate || decimal ? "" : std::string("0") + conversion.type;
    write_number(conversion, i < 0, prefix, digits, value.origin());
  }

  void write_number(const Conversion& conversion, bool negative, const std::string& prefix, std::string digits,
                    std::int32_t message) {
    const std::string sign = negative ? "-" : conversion.plus ? "+" : conversion.space ? " " : "";
    const auto taken = static_cast<Integer>(sign.size() + prefix.size() + digits.size());
    if (conversion.zero && !conversion.minus && conversion.width > taken) {
      Budget::allocate(static_cast<std::uint64_t>(conversion.width));
      digits.insert(0, static_cast<std::size_t>(conversion.width - taken), '0');
    }
    Conversion padding = conversion;
    padding.precision = -1;
    write_text(padding, Text(sign + prefix + digits, {.message = message}));
  }

  void write_text(const Conversion& conversion, const Text& text) {
    std::size_t end = text.size();
    if (conversion.precision >= 0) {
      end = 0;
      for (Integer i = 0; i < conversion.precision && end < text.size(); ++i) decode_at(text.view(), end);
    }
    const auto length = static_cast<Integer>(count_characters(text.view().substr(0, end)));
    const auto missing = conversion.width > length ? static_cast<std::uint64_t>(conversion.width - length) : 0;
    Budget::allocate(out_.size() + text.size() + missing);
    const std::string spaces(missing, ' ');
    if (!conversion.minus) out_.append(spaces);
    out_.append(text, 0, end);
    if (conversion.minus) out_.append(spaces);
  }

  const Text& text_;
  const Value& values_;
  std::size_t at_ = 0, used_ = 0;
  Text out_;
};

}  // namespace

Text percent_format(const Value& format, const Value& values) {
  return PercentFormatter(format, values).run();
}

}  // namespace cadre::chat
