// Reads what stands for one code point in a regular expression: characters, escapes, classes in brackets. The place in
// the pattern is here too; what joins these into expressions is in regex_parser.cpp, which builds on this.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "trainer/tokenizer/code_point_set.h"

namespace cadre::tokenizer {

inline constexpr int kMaxRegexDepth = 64;

class RegexCharacters {
 protected:
  // Both must outlive it.
  RegexCharacters(std::string_view pattern, const std::string& where)
      : pattern_(pattern), at_(pattern.data()), end_(pattern.data() + pattern.size()), where_(where) {}

  [[noreturn]] void fail(const std::string& problem) const;

  bool done() const { return at_ == end_; }
  bool looking_at(std::string_view text) const {
    return std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(text);
  }
  bool take(std::string_view text);

  // One character as it stands; (?i:) adds its other cases. Letters that fold together with a neighbour ("ss" and ß)
  // are refused, as are letters beyond ASCII.
  CodePointSet folded_literal(char32_t c);
  // \s, \p{…} and the like; nullopt where the escape stands for one character. Moves only past what it takes.
  std::optional<CodePointSet> class_escape();
  char32_t literal_escape();
  // A bracketed class, from its "[" on.
  CodePointSet bracket(int depth);

  std::string_view pattern_;
  const char* at_;
  const char* end_;
  const std::string& where_;
  bool ignore_case_ = false;
  char32_t last_folded_ = 0;  // the literal before, inside (?i:); 0 where there is none

 private:
  CodePointSet folded_run(char32_t first, char32_t last) const;
  CodePointSet property(bool negative);
  char32_t hex(std::size_t min_digits, std::size_t max_digits);
  char32_t class_character();
};

}  // namespace cadre::tokenizer
