#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/error.h"
#include "trainer/tokenizer/regex_characters.h"
#include "trainer/tokenizer/regex_syntax.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

using Kind = RegexTree::Kind;

constexpr std::size_t kMaxPatternBytes = 64 * 1024;
constexpr std::uint32_t kMaxCount = 100000;  // Oniguruma's own bound

class Parser : private RegexCharacters {
 public:
  Parser(std::string_view pattern, const std::string& where) : RegexCharacters(pattern, where) {}

  RegexTree parse() {
    RegexTree tree = alternation(0);
    if (at_ != end_) fail("a \")\" without its \"(\"");
    return tree;
  }

 private:
  RegexTree alternation(int depth) {
    if (depth > kMaxRegexDepth) fail("groups nested too deep");
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
