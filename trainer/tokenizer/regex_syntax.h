// Regular expressions as Split and Replace of `tokenizers` have them (Oniguruma, Ruby's syntax), parsed into a tree.
// What is not certain to mean the same there and here is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/code_point_set.h"

namespace cadre::tokenizer {

struct RegexTree {
  enum class Kind {
    kSequence,     // of `children`; none matches the empty text
    kSet,          // one code point of `set`
    kAlternation,  // the first of `children` that leads to a match
    kRepeat,       // children[0], `min` to `max` times
    kLook,         // children[0] stands here, or does not (`negative`); behind: ends here
    kAtomic,       // children[0] as it matches first, without going back into it
    kAssertion,
  };
  enum class Greed { kGreedy, kLazy, kPossessive };
  enum class Assertion { kLineBegin, kLineEnd, kTextBegin, kTextEnd, kTextEndOrLastNewline, kWordEdge, kNoWordEdge };

  Kind kind = Kind::kSequence;
  std::vector<RegexTree> children = {};
  CodePointSet set = {};
  std::uint32_t min = 0, max = 0;
  Greed greed = Greed::kGreedy;
  bool negative = false, behind = false;
  Assertion assertion = Assertion::kLineBegin;
};

inline constexpr std::uint32_t kUnlimited = 0xFFFFFFFF;

// UserError: `where`, the column in the pattern and the construct that is malformed or not supported.
RegexTree parse_regex(std::string_view pattern, const std::string& where);

// How many code points `tree` matches, where that is always the same number; kUnlimited where it is not.
std::uint32_t fixed_length(const RegexTree& tree);

}  // namespace cadre::tokenizer
