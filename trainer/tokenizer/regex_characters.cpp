#include "trainer/tokenizer/regex_characters.h"

#include <algorithm>
#include <array>

#include "runtime/error.h"
#include "trainer/tokenizer/unicode_property.h"
#include "trainer/tokenizer/unicode_tables.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

bool is_ascii_letter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
char32_t lower(char32_t c) {
  return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

}  // namespace

void RegexCharacters::fail(const std::string& problem) const {
  throw runtime::UserError(runtime::say(where_, ": the regular expression \"", pattern_.substr(0, 200), "\", byte ",
                                        at_ - pattern_.data() + 1, ": ", problem));
}

bool RegexCharacters::take(std::string_view text) {
  if (!looking_at(text)) return false;
  at_ += text.size();
  return true;
}

CodePointSet RegexCharacters::folded_literal(char32_t c) {
  if (!ignore_case_) return CodePointSet::of(c, c);
  if (c >= 0x80 && !category("P").contains(c) && !category("S").contains(c) && !category("Z").contains(c))
    fail("a letter beyond ASCII inside (?i:) is not supported");
  const char32_t low = lower(c);
  static constexpr std::array<std::string_view, 5> kTogether{"ff", "fi", "fl", "ss", "st"};
  for (const std::string_view pair : kTogether)
    if (last_folded_ == static_cast<char32_t>(pair[0]) && low == static_cast<char32_t>(pair[1]))
      fail("\"" + std::string(pair) + "\" inside (?i:) is not supported: it also stands for one letter");
  last_folded_ = low;
  return folded_run(c, c);
}

CodePointSet RegexCharacters::folded_run(char32_t first, char32_t last) const {
  CodePointSet set = CodePointSet::of(first, last);
  if (!ignore_case_) return set;
  for (char32_t c = first; c <= std::min<char32_t>(last, 0x7F); ++c) {
    if (!is_ascii_letter(c)) continue;
    set = set.united(CodePointSet::of(c ^ 0x20, c ^ 0x20));
    for (const char32_t other : case_folds(static_cast<char>(lower(c))))
      set = set.united(CodePointSet::of(other, other));
  }
  return set;
}

std::optional<CodePointSet> RegexCharacters::class_escape() {
  const char* const begin = at_;
  at_ += 2;
  CodePointSet set;
  switch (begin[1]) {
    case 's':
      return regex_space();
    case 'S':
      return regex_space().complement();
    case 'd':
      return category("Nd");
    case 'D':
      return category("Nd").complement();
    case 'w':
    case 'W':
    case 'h':
    case 'H':
    case 'p':
    case 'P':
      break;
    default:
      at_ = begin;
      return std::nullopt;
  }
  if (ignore_case_) fail(std::string("\\") + begin[1] + " inside (?i:) is not supported");
  switch (begin[1]) {
    case 'w':
      return regex_word();
    case 'W':
      return regex_word().complement();
    case 'h':
    case 'H':
      set = CodePointSet::from_runs({{'0', '9' + 1}, {'A', 'F' + 1}, {'a', 'f' + 1}});
      return begin[1] == 'h' ? set : set.complement();
    default:
      return property(begin[1] == 'P');
  }
}

CodePointSet RegexCharacters::property(bool negative) {
  if (!take("{")) fail("\\p without {name}");
  if (take("^")) negative = !negative;
  const char* const close = std::find(at_, end_, '}');
  if (close == end_) fail("\\p{ without its }");
  const std::string_view name(at_, static_cast<std::size_t>(close - at_));
  const CodePointSet set = unicode_property(name);
  if (set.empty()) fail("the property \\p{" + std::string(name) + "} is not supported");
  at_ = close + 1;
  return negative ? set.complement() : set;
}

char32_t RegexCharacters::hex(std::size_t min_digits, std::size_t max_digits) {
  char32_t value = 0;
  std::size_t digits = 0;
  for (; digits < max_digits && !done(); ++at_, ++digits) {
    const char32_t c = lower(static_cast<unsigned char>(*at_));
    if (c >= '0' && c <= '9')
      value = value * 16 + (c - '0');
    else if (c >= 'a' && c <= 'f')
      value = value * 16 + (c - 'a' + 10);
    else
      break;
  }
  if (digits < min_digits) fail("too few hexadecimal digits");
  if (value > kLastCodePoint || (value >= 0xD800 && value < 0xE000)) fail("no code point has this number");
  return value;
}

char32_t RegexCharacters::literal_escape() {
  ++at_;
  const char32_t c = next_code_point(at_);
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'a':
      return '\a';
    case 'e':
      return 0x1B;
    case 'u':
      return hex(4, 4);
    case 'x': {
      if (take("{")) {
        const char32_t value = hex(1, 6);
        if (!take("}")) fail("\\x{ without its }");
        return value;
      }
      const char32_t value = hex(1, 2);
      if (value >= 0x80) fail("\\x80 and above are bytes there; write \\x{…}");
      return value;
    }
    default:
      break;
  }
  if (c >= 0x80 || is_ascii_letter(c) || (c >= '0' && c <= '9')) {
    std::string text = "\\";
    append_utf8(text, c);
    fail("the escape " + text + " is not supported");
  }
  return c;
}

CodePointSet RegexCharacters::bracket(int depth) {
  if (depth > kMaxRegexDepth) fail("classes nested too deep");
  if (looking_at("[[:")) fail("a POSIX class is not supported; write \\p{…}");
  const char* const begin = at_++;
  const bool negative = take("^");
  if (looking_at("]")) fail("an empty class, or one that begins with \"]\"; write \\]");
  CodePointSet set;
  std::optional<CodePointSet> left;  // of "&&"
  for (;;) {
    if (done()) {
      at_ = begin;
      fail("a \"[\" without its \"]\"");
    }
    if (take("]")) break;
    if (take("&&")) {
      left = left ? left->intersected(set) : set;
      set = {};
      continue;
    }
    if (looking_at("[:")) fail("a POSIX class is not supported; write \\p{…}");
    if (*at_ == '[') {
      set = set.united(bracket(depth + 1));
      continue;
    }
    if (*at_ == '\\' && end_ - at_ >= 2) {
      if (auto escaped = class_escape()) {
        set = set.united(*escaped);
        if (looking_at("-") && !looking_at("-]")) fail("a range that begins with a class");
        continue;
      }
    }
    const char32_t first = class_character();
    char32_t last = first;
    if (looking_at("-") && !looking_at("-]") && !looking_at("-&&")) {
      ++at_;
      if (done() || *at_ == '[') fail("a range without its end");
      if (*at_ == '\\' && end_ - at_ >= 2 && class_escape()) fail("a range that ends in a class");
      last = class_character();
      if (last < first) fail("a range whose end comes before its beginning");
    }
    if (ignore_case_ && last >= 0x80) fail("a class with characters beyond ASCII inside (?i:) is not supported");
    set = set.united(folded_run(first, last));
  }
  if (left) set = left->intersected(set);
  return negative ? set.complement() : set;
}

char32_t RegexCharacters::class_character() {
  if (*at_ != '\\') return next_code_point(at_);
  if (end_ - at_ < 2) fail("the pattern ends in a backslash");
  if (at_[1] == 'b') return at_ += 2, '\b';
  return literal_escape();
}

}  // namespace cadre::tokenizer
