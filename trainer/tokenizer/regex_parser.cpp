#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "runtime/error.h"
#include "trainer/tokenizer/regex_syntax.h"
#include "trainer/tokenizer/unicode_property.h"
#include "trainer/tokenizer/unicode_tables.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

using Kind = RegexTree::Kind;

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxPatternBytes = 64 * 1024;
constexpr std::uint32_t kMaxCount = 100000;  // Oniguruma's own bound

bool is_ascii_letter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
char32_t lower(char32_t c) {
  return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

class Parser {
 public:
  Parser(std::string_view pattern, const std::string& where)
      : pattern_(pattern), at_(pattern.data()), end_(pattern.data() + pattern.size()), where_(where) {}

  RegexTree parse() {
    RegexTree tree = alternation(0);
    if (at_ != end_) fail("a \")\" without its \"(\"");
    return tree;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw runtime::UserError(runtime::say(where_, ": the regular expression \"", pattern_.substr(0, 200), "\", byte ",
                                          at_ - pattern_.data() + 1, ": ", problem));
  }

  bool done() const { return at_ == end_; }
  bool looking_at(std::string_view text) const {
    return std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(text);
  }
  bool take(std::string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }

  RegexTree alternation(int depth) {
    if (depth > kMaxDepth) fail("groups nested too deep");
    std::vector<RegexTree> branches{sequence(depth)};
    while (take("|")) branches.push_back(sequence(depth));
    if (branches.size() == 1) return std::move(branches[0]);
    RegexTree tree{.kind = Kind::kAlternation, .children = std::move(branches)};
    // One of several single characters is a set.
    if (std::all_of(tree.children.begin(), tree.children.end(), [](const auto& t) { return t.kind == Kind::kSet; })) {
      RegexTree joined{.kind = Kind::kSet};
      for (const RegexTree& child : tree.children) joined.set = joined.set.united(child.set);
      return joined;
    }
    return tree;
  }

  RegexTree sequence(int depth) {
    RegexTree tree;
    last_folded_ = 0;
    while (!done() && *at_ != '|' && *at_ != ')') {
      RegexTree item = atom(depth);
      quantify(item);
      tree.children.push_back(std::move(item));
    }
    if (tree.children.size() == 1) return std::move(tree.children[0]);
    return tree;
  }

  void quantify(RegexTree& item) {
    std::uint32_t min, max;
    bool braces = false;
    if (take("*")) {
      min = 0, max = kUnlimited;
    } else if (take("+")) {
      min = 1, max = kUnlimited;
    } else if (take("?")) {
      min = 0, max = 1;
    } else if (looking_at("{")) {
      ++at_;
      braces = true;
      const auto low = count();
      if (take("}")) {
        if (!low) fail("{} is no repetition; write \\{ for the character");
        min = max = *low;
      } else {
        if (!take(",")) fail("a malformed {n,m}; write \\{ for the character");
        const auto high = count();
        if (!take("}") || (!low && !high)) fail("a malformed {n,m}; write \\{ for the character");
        min = low.value_or(0), max = high.value_or(kUnlimited);
        if (min > max) fail("{n,m} with n above m");
      }
      if (min == max && looking_at("?")) fail("{n}? is not supported");
    } else {
      return;
    }
    if (item.kind == Kind::kAssertion || item.kind == Kind::kLook) fail("a repeated assertion is not supported");
    RegexTree::Greed greed = RegexTree::Greed::kGreedy;
    if (take("?"))
      greed = RegexTree::Greed::kLazy;
    else if (!braces && take("+"))
      greed = RegexTree::Greed::kPossessive;
    if (!done() && (*at_ == '*' || *at_ == '+' || *at_ == '?' || *at_ == '{'))
      fail("a repetition of a repetition is not supported; put the inner one in (?:)");
    RegexTree tree{.kind = Kind::kRepeat, .min = min, .max = max, .greed = greed};
    tree.children.push_back(std::move(item));
    item = std::move(tree);
    last_folded_ = 0;
  }

  std::optional<std::uint32_t> count() {
    std::optional<std::uint32_t> value;
    for (; !done() && *at_ >= '0' && *at_ <= '9'; ++at_) {
      value = value.value_or(0) * 10 + static_cast<std::uint32_t>(*at_ - '0');
      if (*value > kMaxCount) fail("a repetition of more than 100000");
    }
    return value;
  }

  static RegexTree of_set(CodePointSet set) { return {.kind = Kind::kSet, .children = {}, .set = std::move(set)}; }
  static RegexTree assertion(RegexTree::Assertion which) {
    RegexTree tree{.kind = Kind::kAssertion};
    tree.assertion = which;
    return tree;
  }

  RegexTree atom(int depth) {
    const char* const begin = at_;
    switch (*at_) {
      case '(':
        return group(depth);
      case '[':
        last_folded_ = 0;
        return of_set(bracket(depth));
      case '.':
        ++at_, last_folded_ = 0;
        return of_set(CodePointSet::of('\n', '\n').complement());
      case '^':
        ++at_;
        return assertion(RegexTree::Assertion::kLineBegin);
      case '$':
        ++at_;
        return assertion(RegexTree::Assertion::kLineEnd);
      case '*':
      case '+':
      case '?':
        fail("a repetition of nothing");
      case '{':
        fail("a repetition of nothing; write \\{ for the character");
      case ']':
        fail("a \"]\" without its \"[\"; write \\] for the character");
      default:
        break;
    }
    if (*at_ != '\\') return of_set(folded_literal(next_code_point(at_)));
    if (end_ - at_ < 2) fail("the pattern ends in a backslash");
    at_ += 2;
    switch (at_[-1]) {
      case 'A':
        return assertion(RegexTree::Assertion::kTextBegin);
      case 'z':
        return assertion(RegexTree::Assertion::kTextEnd);
      case 'Z':
        return assertion(RegexTree::Assertion::kTextEndOrLastNewline);
      case 'b':
        return assertion(RegexTree::Assertion::kWordEdge);
      case 'B':
        return assertion(RegexTree::Assertion::kNoWordEdge);
      default:
        break;
    }
    at_ = begin;
    if (auto set = class_escape()) {
      last_folded_ = 0;
      return of_set(std::move(*set));
    }
    return of_set(folded_literal(literal_escape()));
  }

  RegexTree group(int depth) {
    const char* const begin = at_;
    ++at_;
    const bool ignore_case_outside = ignore_case_;
    RegexTree tree;
    bool wrapped = true;
    if (take("?=")) {
      tree.kind = Kind::kLook;
    } else if (take("?!")) {
      tree.kind = Kind::kLook, tree.negative = true;
    } else if (take("?<=")) {
      tree.kind = Kind::kLook, tree.behind = true;
    } else if (take("?<!")) {
      tree.kind = Kind::kLook, tree.behind = tree.negative = true;
    } else if (take("?>")) {
      tree.kind = Kind::kAtomic;
    } else {
      wrapped = false;
      if (take("?i:"))
        ignore_case_ = true;
      else if (take("?-i:"))
        ignore_case_ = false;
      else if (looking_at("?") && !take("?:"))
        fail("the group \"(" + std::string(at_, static_cast<std::size_t>(std::min<std::ptrdiff_t>(end_ - at_, 3))) +
             "\" is not supported");
    }
    RegexTree body = alternation(depth + 1);
    if (!take(")")) {
      at_ = begin;
      fail("a \"(\" without its \")\"");
    }
    ignore_case_ = ignore_case_outside;
    last_folded_ = 0;
    if (!wrapped) return body;
    if (tree.behind) {
      const bool choice = body.kind == Kind::kAlternation;
      if (choice ? std::any_of(body.children.begin(), body.children.end(),
                               [](const auto& t) { return fixed_length(t) == kUnlimited; })
                 : fixed_length(body) == kUnlimited)
        fail("a look-behind of no fixed length is not supported");
    }
    tree.children.push_back(std::move(body));
    return tree;
  }

  // One character as it stands; (?i:) adds its other cases. Letters that fold together with a neighbour ("ss" and ß)
  // are refused, as are letters beyond ASCII.
  CodePointSet folded_literal(char32_t c) {
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

  CodePointSet folded_run(char32_t first, char32_t last) const {
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

  // \s, \p{…} and the like; nullopt where the escape stands for one character. Moves only past what it takes.
  std::optional<CodePointSet> class_escape() {
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

  CodePointSet property(bool negative) {
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

  char32_t hex(std::size_t min_digits, std::size_t max_digits) {
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

  char32_t literal_escape() {
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

  // A bracketed class, from its "[" on.
  CodePointSet bracket(int depth) {
    if (depth > kMaxDepth) fail("classes nested too deep");
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

  char32_t class_character() {
    if (*at_ != '\\') return next_code_point(at_);
    if (end_ - at_ < 2) fail("the pattern ends in a backslash");
    if (at_[1] == 'b') return at_ += 2, '\b';
    return literal_escape();
  }

  std::string_view pattern_;
  const char* at_;
  const char* end_;
  const std::string& where_;
  bool ignore_case_ = false;
  char32_t last_folded_ = 0;  // the literal before, inside (?i:); 0 where there is none
};

}  // namespace

std::uint32_t fixed_length(const RegexTree& tree) {
  switch (tree.kind) {
    case Kind::kSet:
      return 1;
    case Kind::kSequence: {
      std::uint32_t total = 0;
      for (const RegexTree& child : tree.children) {
        const std::uint32_t length = fixed_length(child);
        if (length == kUnlimited) return kUnlimited;
        total += length;
      }
      return total;
    }
    case Kind::kAlternation: {
      const std::uint32_t length = fixed_length(tree.children[0]);
      for (const RegexTree& child : tree.children)
        if (fixed_length(child) != length) return kUnlimited;
      return length;
    }
    default:
      return kUnlimited;
  }
}

RegexTree parse_regex(std::string_view pattern, const std::string& where) {
  if (pattern.size() > kMaxPatternBytes)
    throw runtime::UserError(runtime::say(where, ": a regular expression of ", pattern.size(), " bytes; at most ",
                                          kMaxPatternBytes, " are supported"));
  return Parser(pattern, where).parse();
}

}  // namespace cadre::tokenizer
