#include "trainer/chat/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "runtime/error.h"
#include "trainer/chat/characters.h"

namespace cadre::chat {
namespace {

using runtime::say;

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out.push_back(source[i]);
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { throw SyntaxFailure(line_, message); }

  void push(TokenKind kind, std::string text) {
    tokens_.push_back({.kind = kind, .line = line_, .text = std::move(text), .number = {}});
  }

  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool starts(std::string_view what) const { return std::string_view(source_).substr(at_).starts_with(what); }

  void advance_to(std::size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    line_starting_ = to > at_ ? source_[to - 1] == '\n' : line_starting_;
    at_ = to;
  }

  std::size_t after_space(std::size_t from) const {
    while (from < source_.size()) {
      std::size_t next = from;
      if (!is_space(decode_at(source_, next))) break;
      from = next;
    }
    return from;
  }

  // Text up to the next tag, then the tag.
  void root() {
    std::size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push(TokenKind::kData, source_.substr(at_));
        advance_to(source_.size());
        return;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char type = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    data_before(tag, sign, type == '{');
    const bool signed_tag = sign == '-' || sign == '+';
    advance_to(tag);
    const std::size_t body = tag + (signed_tag ? 3 : 2);
    if (type == '#') {
      comment(body);
    } else if (type == '%' && raw(body)) {
      return;
    } else {
      push(type == '{' ? TokenKind::kPrintBegin : TokenKind::kBlockBegin, "");
      advance_to(body);
      inside(type == '{');
    }
  }

  // Emits the text before a tag, with the whitespace that the tag's sign or lstrip_blocks takes away.
  void data_before(std::size_t tag, char sign, bool is_print) {
    std::size_t end = tag;
    if (sign == '-') {
      while (end > at_) {
        std::size_t before = end;
        if (!is_space(decode_before(source_, before))) break;
        end = before;
      }
    } else if (sign != '+' && !is_print) {
      const std::size_t newline = tag > at_ ? source_.rfind('\n', tag - 1) : std::string::npos;
      const bool has_newline = newline != std::string::npos && newline >= at_;
      const std::size_t start = has_newline ? newline + 1 : at_;
      if ((has_newline || line_starting_) && after_space_within(start, tag) == tag) end = start;
    }
    if (end > at_) push(TokenKind::kData, source_.substr(at_, end - at_));
  }

  std::size_t after_space_within(std::size_t from, std::size_t end) const { return std::min(after_space(from), end); }

  // The end of a tag whose closing mark stands at `mark`: past `%}` and what it trims; npos where there is none there.
  std::size_t block_end(std::size_t mark, std::string_view close) const {
    const std::string_view rest = std::string_view(source_).substr(mark);
    if (rest.starts_with("+") && rest.substr(1).starts_with(close)) return mark + 1 + close.size();
    if (rest.starts_with("-") && rest.substr(1).starts_with(close)) return after_space(mark + 1 + close.size());
    if (!rest.starts_with(close)) return std::string::npos;
    const std::size_t end = mark + close.size();
    return end < source_.size() && source_[end] == '\n' ? end + 1 : end;
  }

  void comment(std::size_t body) {
    for (std::size_t mark = body;; ++mark) {
      mark = source_.find('#', mark);
      if (mark == std::string::npos) fail("Missing end of comment tag");
      if (mark + 1 >= source_.size() || source_[mark + 1] != '}') continue;
      const bool signed_end = mark > body && (source_[mark - 1] == '-' || source_[mark - 1] == '+');
      advance_to(block_end(signed_end ? mark - 1 : mark, "#}"));
      return;
    }
  }

  // A raw block, when the tag whose inside begins at `body` is one.
  bool raw(std::size_t body) {
    std::size_t at = after_space(body);
    if (source_.compare(at, 3, "raw") != 0) return false;
    at = after_space(at + 3);
    std::size_t begin = 0;
    if (source_.compare(at, 2, "%}") == 0)
      begin = at + 2;
    else if (source_.compare(at, 3, "-%}") == 0)
      begin = after_space(at + 3);
    else
      return false;
    advance_to(begin);
    for (std::size_t tag = begin;; ++tag) {
      tag = source_.find("{%", tag);
      if (tag == std::string::npos) fail("Missing end of raw directive");
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      const std::size_t name = after_space(tag + (sign == '-' || sign == '+' ? 3 : 2));
      if (source_.compare(name, 6, "endraw") != 0) continue;
      const std::size_t end = block_end(after_space(name + 6), "%}");
      if (end == std::string::npos) continue;
      data_before(tag, sign, false);
      advance_to(end);
      return true;
    }
  }

  // Tokens up to the closing mark of a print or block tag.
  void inside(bool is_print) {
    std::string open;  // brackets not yet closed
    while (at_ < source_.size()) {
      if (open.empty()) {
        std::size_t end = std::string::npos;
        if (!is_print)
          end = block_end(at_, "%}");
        else if (starts("-}}"))
          end = after_space(at_ + 3);
        else if (starts("}}"))
          end = at_ + 2;
        if (end != std::string::npos) {
          push(is_print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, "");
          advance_to(end);
          return;
        }
      }
      if (const std::size_t next = after_space(at_); next != at_)
        advance_to(next);
      else if (!number() && !name() && !string())
        operator_token(open);
    }
  }

  // Digits with single underscores between them, from `from`; returns where they end.
  template <typename IsDigit>
  std::size_t digits(std::size_t from, const IsDigit& accepts) const {
    std::size_t end = from;
    while (end < source_.size()) {
      if (accepts(source_[end]))
        ++end;
      else if (end > from && source_[end] == '_' && end + 1 < source_.size() && accepts(source_[end + 1]))
        end += 2;
      else
        break;
    }
    return end;
  }

  bool number() {
    if (!is_digit(peek())) return false;
    if (float_number()) return true;
    const auto based = [&](int base) {
      const auto accepts = [base](char c) {
        const int digit = is_digit(c)            ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : 99;
        return digit < base;
      };
      std::size_t from = at_ + 2;
      if (from < source_.size() && source_[from] == '_') ++from;
      const std::size_t end = digits(from, accepts);
      if (end == from) return false;
      integer(from, end, base);
      return true;
    };
    const char mark = static_cast<char>(peek(1) | 0x20);
    if (peek() == '0' && ((mark == 'x' && based(16)) || (mark == 'o' && based(8)) || (mark == 'b' && based(2))))
      return true;
    const bool zero = peek() == '0';
    integer(at_, digits(at_, [zero](char c) { return zero ? c == '0' : is_digit(c); }), 10);
    return true;
  }

  void integer(std::size_t from, std::size_t end, int base) {
    Integer value = 0;
    for (std::size_t i = from; i < end; ++i) {
      const char c = source_[i];
      if (c == '_') continue;
      const int digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
      if (__builtin_mul_overflow(value, static_cast<Integer>(base), &value) ||
          __builtin_add_overflow(value, static_cast<Integer>(digit), &value)) {
        fail("integers of more than 127 bits are not implemented");
      }
    }
    push(TokenKind::kNumber, "");
    tokens_.back().number = Value::integer(value);
    advance_to(end);
  }

  bool float_number() {
    if (at_ > 0 && source_[at_ - 1] == '.') return false;
    std::size_t end = digits(at_, is_digit);
    bool is_float = false;
    if (end < source_.size() && source_[end] == '.') {
      const std::size_t fraction = digits(end + 1, is_digit);
      if (fraction > end + 1) {
        end = fraction;
        is_float = true;
      }
    }
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      std::size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
      const std::size_t last = digits(exponent, is_digit);
      if (last > exponent) {
        end = last;
        is_float = true;
      }
    }
    if (!is_float) return false;
    std::string digits_only = source_.substr(at_, end - at_);
    std::erase(digits_only, '_');
    double value = 0;
    const auto read = std::from_chars(digits_only.data(), digits_only.data() + digits_only.size(), value);
    if (read.ec == std::errc::result_out_of_range) value = std::strtod(digits_only.c_str(), nullptr);
    push(TokenKind::kNumber, "");
    tokens_.back().number = Value::floating(value);
    advance_to(end);
    return true;
  }

  bool name() {
    std::size_t end = at_;
    while (end < source_.size()) {
      std::size_t next = end;
      const char32_t c = decode_at(source_, next);
      if (c != '_' && !is_alphanumeric(c)) break;
      end = next;
    }
    if (end == at_) return false;
    push(TokenKind::kName, source_.substr(at_, end - at_));
    advance_to(end);
    return true;
  }

  bool string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return false;
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail(say("a string that begins with ", quote, " does not end"));
    push(TokenKind::kString, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance_to(end + 1);
    return true;
  }

  std::string unescape(std::string_view raw) const {
    std::string out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\' || i + 1 >= raw.size()) {
        out.push_back(raw[i]);
        continue;
      }
      const char c = raw[++i];
      constexpr std::string_view kFrom = "abfnrtv\\'\"", kTo = "\a\b\f\n\r\t\v\\'\"";
      if (const std::size_t known = kFrom.find(c); known != std::string_view::npos) {
        out.push_back(kTo[known]);
      } else if (c >= '0' && c <= '7') {
        std::uint32_t value = 0;
        std::size_t end = i;
        while (end < raw.size() && end < i + 3 && raw[end] >= '0' && raw[end] <= '7') {
          value = value * 8 + static_cast<std::uint32_t>(raw[end++] - '0');
        }
        append_utf8(out, value);
        i = end - 1;
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const std::size_t width = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        std::uint32_t value = 0;
        const char* first = raw.data() + i + 1;
        if (i + width >= raw.size() || std::from_chars(first, first + width, value, 16).ptr != first + width) {
          fail(say("truncated \\", c, " escape in a string"));
        }
        if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) fail("illegal Unicode character in a string");
        append_utf8(out, value);
        i += width;
      } else if (c == 'N') {
        fail("\\N{…} escapes are not implemented");
      } else if (c != '\n') {
        out.push_back('\\');
        out.push_back(c);
      }
    }
    return out;
  }

  void operator_token(std::string& open) {
    static constexpr std::array<std::string_view, 6> kTwo{"**", "//", "==", "!=", ">=", "<="};
    std::size_t length = 1;
    for (const std::string_view two : kTwo) {
      if (starts(two)) length = 2;
    }
    const char c = peek();
    if (length == 1 && std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      std::size_t end = at_;
      decode_at(source_, end);
      fail(say("unexpected char '", source_.substr(at_, end - at_), "'"));
    }
    if (length == 1) {
      if (c == '{') open.push_back('}');
      if (c == '(') open.push_back(')');
      if (c == '[') open.push_back(']');
      if (c == '}' || c == ')' || c == ']') {
        if (open.empty()) fail(say("unexpected '", c, "'"));
        if (open.back() != c) fail(say("unexpected '", c, "', expected '", open.back(), "'"));
        open.pop_back();
      }
    }
    push(TokenKind::kOperator, source_.substr(at_, length));
    advance_to(at_ + length);
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace cadre::chat
