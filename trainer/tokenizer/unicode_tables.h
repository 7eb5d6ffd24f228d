// What the pinned `tokenizers` takes each code point for, from tables that make_unicode_tables.py probed out of it.
// Unpacked on first use; any thread may ask.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "trainer/tokenizer/code_point_set.h"

namespace cadre::tokenizer {

// One general category ("Lu") or the union of those with that letter ("L"); empty where there is none of that name.
const CodePointSet& category(std::string_view name);
// Han, Hangul, Hiragana, Katakana (in small letters); nullptr for others.
const CodePointSet* script(std::string_view name);
// \s and \w of regular expressions in Split and Replace.
const CodePointSet& regex_space();
const CodePointSet& regex_word();
// Those of everything else: added tokens, Strip, Whitespace, Digits, Punctuation.
const CodePointSet& white_space();
const CodePointSet& word_characters();
const CodePointSet& numeric();
const CodePointSet& punctuation();
// What (?i:letter) matches besides the letter in both its cases; `letter` is a to z.
const std::vector<char32_t>& case_folds(char letter);

// Code points and what each becomes, sorted by code point.
class CodePointMap {
 public:
  CodePointMap() = default;
  explicit CodePointMap(std::string_view packed);
  // nullptr and nullptr where `c` stays as it is.
  std::pair<const char32_t*, const char32_t*> find(char32_t c) const;

  struct Entry {
    char32_t from;
    std::uint32_t begin, end;  // in targets()
  };
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<char32_t>& targets() const { return targets_; }

 private:
  std::vector<Entry> entries_;
  std::vector<char32_t> targets_;
};

const CodePointMap& lower_case();
// Full decompositions without Hangul; `compatible` holds only what differs from `canonical`.
const CodePointMap& canonical_decompositions();
const CodePointMap& compatible_decompositions();
// The two parts of each composite that NFC makes, Hangul left out.
const CodePointMap& compositions();
// Runs of one combining class other than 0.
struct CombiningRun {
  char32_t begin, end;
  unsigned char value;
};
const std::vector<CombiningRun>& combining_classes();

}  // namespace cadre::tokenizer
