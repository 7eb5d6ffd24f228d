#include "trainer/tokenizer/normalization.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

#include "trainer/tokenizer/unicode_tables.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

// Hangul syllables are arithmetic (Unicode, 3.12).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28, kSyllableCount = 11172;

bool is_syllable(char32_t c) {
  return c >= kSyllables && c < kSyllables + kSyllableCount;
}

// What is asked of each code point, in tables.
class Properties {
 public:
  static const Properties& instance() {
    static const Properties properties;
    return properties;
  }

  unsigned char combining_class(char32_t c) const { return classes_[c]; }

  std::optional<char32_t> compose(char32_t first, char32_t second) const {
    if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels && second < kVowels + kVowelCount)
      return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
    if (is_syllable(first) && (first - kSyllables) % kTailCount == 0 && second > kTails && second < kTails + kTailCount)
      return first + (second - kTails);
    const auto found = compositions_.find(static_cast<std::uint64_t>(first) << 32 | second);
    if (found == compositions_.end()) return std::nullopt;
    return found->second;
  }

  // Whether `form` leaves `c` as it is next to any neighbour before it, and nothing before it moves past it.
  bool inert(char32_t c, NormalizationForm form) const { return (changing_[c] & 1 << static_cast<int>(form)) == 0; }

 private:
  Properties() : classes_(kLastCodePoint + 1), changing_(kLastCodePoint + 1) {
    constexpr unsigned char kAll = 15, kComposed = 1 << 0 | 1 << 2, kDecomposed = 1 << 1 | 1 << 3;
    constexpr unsigned char kCompatible = 1 << 2 | 1 << 3;
    for (const CombiningRun& run : combining_classes()) {
      std::fill(classes_.begin() + run.begin, classes_.begin() + run.end, run.value);
      std::fill(changing_.begin() + run.begin, changing_.begin() + run.end, kAll);
    }
    for (const auto& entry : canonical_decompositions().entries()) changing_[entry.from] = kAll;
    const auto& composites = compositions();
    for (const auto& entry : composites.entries()) {
      const char32_t first = composites.targets()[entry.begin], second = composites.targets()[entry.begin + 1];
      compositions_.emplace(static_cast<std::uint64_t>(first) << 32 | second, entry.from);
      if (classes_[entry.from] == 0) changing_[entry.from] = kDecomposed;  // it comes together again
    }
    for (const auto& entry : composites.entries()) changing_[composites.targets()[entry.begin + 1]] |= kComposed;
    for (const auto& entry : compatible_decompositions().entries()) changing_[entry.from] |= kCompatible;
    std::fill(changing_.begin() + kSyllables, changing_.begin() + kSyllables + kSyllableCount, kDecomposed);
    for (const auto& [begin, count] : {std::pair{kVowels, kVowelCount}, std::pair{kTails, kTailCount}})
      for (char32_t c = begin; c < begin + count; ++c) changing_[c] |= kComposed;
  }

  std::vector<unsigned char> classes_;
  std::vector<unsigned char> changing_;  // a bit for each form
  std::unordered_map<std::uint64_t, char32_t> compositions_;
};

void decompose(char32_t c, bool compatible, std::vector<Change>& out) {
  if (is_syllable(c)) {
    const char32_t index = c - kSyllables;
    out.push_back({kLeads + index / (kVowelCount * kTailCount), 0});
    out.push_back({kVowels + index % (kVowelCount * kTailCount) / kTailCount, 1});
    if (index % kTailCount != 0) out.push_back({kTails + index % kTailCount, 1});
    return;
  }
  std::pair<const char32_t*, const char32_t*> parts{nullptr, nullptr};
  if (compatible) parts = compatible_decompositions().find(c);
  if (parts.first == nullptr) parts = canonical_decompositions().find(c);
  if (parts.first == nullptr) {
    out.push_back({c, 0});
    return;
  }
  for (const char32_t* part = parts.first; part != parts.second; ++part)
    out.push_back({*part, part == parts.first ? 0 : 1});
}

// Each run of combining marks in the order of their classes.
void order(std::vector<Change>& changes) {
  const Properties& properties = Properties::instance();
  for (auto begin = changes.begin(); begin != changes.end();) {
    if (properties.combining_class(begin->first) == 0) {
      ++begin;
      continue;
    }
    auto end = begin;
    while (end != changes.end() && properties.combining_class(end->first) != 0) ++end;
    std::stable_sort(begin, end, [&](const Change& a, const Change& b) {
      return properties.combining_class(a.first) < properties.combining_class(b.first);
    });
    begin = end;
  }
}

// Marks join the starter before them unless one of no lower class stands between.
std::vector<Change> compose(const std::vector<Change>& changes) {
  const Properties& properties = Properties::instance();
  std::vector<Change> out;
  std::optional<std::size_t> starter;  // in `out`
  int last_class = -1;                 // of the marks after the starter that stayed; -1 where there are none
  for (const Change& change : changes) {
    const int its_class = properties.combining_class(change.first);
    if (starter && last_class < its_class) {
      if (const auto composed = properties.compose(out[*starter].first, change.first)) {
        out[*starter] = {*composed, out[*starter].second + change.second - 1};
        continue;
      }
    }
    if (its_class == 0) {
      starter = out.size();
      last_class = -1;
    } else if (starter) {
      last_class = its_class;
    }
    out.push_back(change);
  }
  return out;
}

}  // namespace

void normalize(MappedText& text, NormalizationForm form) {
  const Properties& properties = Properties::instance();
  const bool composes = form == NormalizationForm::kNfc || form == NormalizationForm::kNfkc;
  const bool compatible = form == NormalizationForm::kNfkc || form == NormalizationForm::kNfkd;
  const std::string& bytes = text.text();
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  std::optional<MappedText> out;
  const char* copied = begin;  // all before is in `out`
  std::vector<Change> changes;
  for (const char* at = begin; at != end;) {
    // No form changes ASCII.
    if (static_cast<unsigned char>(*at) < 0x80) {
      ++at;
      continue;
    }
    const char* after = at;
    if (properties.inert(next_code_point(after), form)) {
      at = after;
      continue;
    }
    // From the character before, with which this one may compose, up to the next that nothing before can touch.
    const char* const region = at == copied ? at : previous_character(at);
    at = after;
    while (at != end && !properties.inert(next_code_point(after), form)) at = after;
    if (!out) out = MappedText::like(text);
    out->append(text.piece().part(static_cast<std::size_t>(copied - begin), static_cast<std::size_t>(region - begin)));
    changes.clear();
    for (const char* from = region; from != at;) decompose(next_code_point(from), compatible, changes);
    order(changes);
    append_changes(*out, text, static_cast<std::size_t>(region - begin), composes ? compose(changes) : changes);
    copied = at;
  }
  if (!out) return;
  out->append(text.piece().part(static_cast<std::size_t>(copied - begin), bytes.size()));
  text = std::move(*out);
}

}  // namespace cadre::tokenizer
