#include "trainer/tokenizer/unicode_tables.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

#include "trainer/tokenizer/unicode_tables.inc"

// Varints out of base64.
class Numbers {
 public:
  explicit Numbers(std::string_view text) : text_(text) {
    while (!text_.empty() && text_.back() == '=') text_.remove_suffix(1);
  }

  // Fewer than eight bits that are left are padding.
  bool done() const { return (text_.size() - at_) * 6 + static_cast<std::size_t>(bits_held_) < 8; }

  char32_t next() {
    char32_t value = 0;
    for (int shift = 0;; shift += 7) {
      const std::uint32_t byte = next_byte();
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }

  std::int32_t next_signed() {
    const char32_t value = next();
    return value & 1 ? -static_cast<std::int32_t>(value / 2) - 1 : static_cast<std::int32_t>(value / 2);
  }

 private:
  static std::uint32_t digit(char c) {
    return static_cast<std::uint32_t>(c >= 'a'   ? c - 'a' + 26
                                      : c >= 'A' ? c - 'A'
                                      : c >= '0' ? c - '0' + 52
                                      : c == '+' ? 62
                                                 : 63);
  }

  std::uint32_t next_byte() {
    while (bits_held_ < 8) {
      held_ = held_ << 6 | digit(text_[at_++]);
      bits_held_ += 6;
    }
    bits_held_ -= 8;
    return held_ >> bits_held_ & 0xFF;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::uint32_t held_ = 0;
  int bits_held_ = 0;
};

CodePointSet unpack_set(std::string_view packed) {
  std::vector<CodePointSet::Run> runs;
  char32_t at = 0;
  for (Numbers numbers(packed); !numbers.done();) {
    at += numbers.next();
    if (at > kLastCodePoint || numbers.done()) break;
    const char32_t begin = at;
    at += numbers.next();
    runs.push_back({begin, at});
  }
  return CodePointSet::from_runs(std::move(runs));
}

std::map<std::string, CodePointSet, std::less<>> unpack_categories() {
  std::vector<std::vector<CodePointSet::Run>> runs(std::size(kCategoryNames));
  char32_t at = 0;
  for (Numbers numbers(kCategories); !numbers.done();) {
    const char32_t begin = at;
    at += numbers.next();
    runs[numbers.next()].push_back({begin, at});
  }
  std::map<std::string, CodePointSet, std::less<>> sets;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string name(kCategoryNames[i]);
    CodePointSet set = CodePointSet::from_runs(std::move(runs[i]));
    CodePointSet& major = sets[name.substr(0, 1)];
    major = major.united(set);
    sets[name] = std::move(set);
  }
  return sets;
}

}  // namespace

const CodePointSet& category(std::string_view name) {
  static const auto sets = unpack_categories();
  static const CodePointSet none;
  const auto found = sets.find(name);
  return found == sets.end() ? none : found->second;
}

const CodePointSet* script(std::string_view name) {
  static const std::map<std::string_view, CodePointSet> sets{{"han", unpack_set(kScriptHan)},
                                                             {"hangul", unpack_set(kScriptHangul)},
                                                             {"hiragana", unpack_set(kScriptHiragana)},
                                                             {"katakana", unpack_set(kScriptKatakana)}};
  const auto found = sets.find(name);
  return found == sets.end() ? nullptr : &found->second;
}

const CodePointSet& regex_space() {
  static const CodePointSet set = unpack_set(kRegexSpace);
  return set;
}

const CodePointSet& regex_word() {
  static const CodePointSet set = unpack_set(kRegexWord);
  return set;
}

const CodePointSet& white_space() {
  static const CodePointSet set = unpack_set(kWhiteSpace);
  return set;
}

const CodePointSet& word_characters() {
  static const CodePointSet set = unpack_set(kWord);
  return set;
}

const CodePointSet& numeric() {
  static const CodePointSet set = unpack_set(kNumeric);
  return set;
}

const CodePointSet& punctuation() {
  static const CodePointSet set = unpack_set(kPunctuation);
  return set;
}

const std::vector<char32_t>& case_folds(char letter) {
  static const auto all = [] {
    std::array<std::vector<char32_t>, 26> folds;
    const CodePointMap map(kCaseFolds);
    for (const auto& entry : map.entries())
      folds[entry.from - 'a'].assign(map.targets().begin() + entry.begin, map.targets().begin() + entry.end);
    return folds;
  }();
  return all[static_cast<std::size_t>(letter - 'a')];
}

CodePointMap::CodePointMap(std::string_view packed) {
  char32_t at = 0;
  for (Numbers numbers(packed); !numbers.done();) {
    at += numbers.next();
    const char32_t count = numbers.next();
    const auto begin = static_cast<std::uint32_t>(targets_.size());
    for (char32_t i = 0; i < count; ++i)
      targets_.push_back(static_cast<char32_t>(static_cast<std::int32_t>(at) + numbers.next_signed()));
    entries_.push_back({at, begin, begin + count});
  }
}

std::pair<const char32_t*, const char32_t*> CodePointMap::find(char32_t c) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), c,
                                      [](const Entry& entry, char32_t x) { return entry.from < x; });
  if (found == entries_.end() || found->from != c) return {nullptr, nullptr};
  return {targets_.data() + found->begin, targets_.data() + found->end};
}

const CodePointMap& lower_case() {
  static const CodePointMap map(kLower);
  return map;
}

const CodePointMap& canonical_decompositions() {
  static const CodePointMap map(kCanonical);
  return map;
}

const CodePointMap& compatible_decompositions() {
  static const CodePointMap map(kCompatible);
  return map;
}

const CodePointMap& compositions() {
  static const CodePointMap map(kCompositions);
  return map;
}

const std::vector<CombiningRun>& combining_classes() {
  static const auto runs = [] {
    std::vector<CombiningRun> out;
    char32_t at = 0;
    for (Numbers numbers(kCombiningClasses); !numbers.done();) {
      const char32_t begin = at;
      at += numbers.next();
      const char32_t value = numbers.next();
      if (value != 0) out.push_back({begin, at, static_cast<unsigned char>(value)});
    }
    return out;
  }();
  return runs;
}

}  // namespace cadre::tokenizer
