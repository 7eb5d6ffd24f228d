#include "trainer/chat/characters.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>

namespace cadre::chat {
namespace {

struct CharacterRange {
  std::uint32_t first, last;
};

// Characters first, first + stride, …, last become themselves plus delta.
struct CaseRun {
  std::uint32_t first, last, stride;
  std::int32_t delta;
};

struct CaseExpansion {
  std::uint32_t from;
  std::uint32_t to[3];  // zero: none
};

#include "trainer/chat/character_tables.inc"

bool contains(std::span<const CharacterRange> ranges, char32_t c) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                      [](char32_t value, const CharacterRange& range) { return value < range.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

std::span<const CharacterRange> ranges_of(CharacterClass character_class) {
  switch (character_class) {
    case CharacterClass::kSpace:
      return kSpace;
    case CharacterClass::kPrintable:
      return kPrintable;
    case CharacterClass::kAlpha:
      return kAlpha;
    case CharacterClass::kDecimal:
      return kDecimal;
    case CharacterClass::kDigit:
      return kDigit;
    case CharacterClass::kNumeric:
      return kNumeric;
    case CharacterClass::kUpper:
      return kUpper;
    case CharacterClass::kLower:
      return kLower;
    case CharacterClass::kTitle:
      return kTitle;
  }
  return {};
}

struct CaseTables {
  std::span<const CaseRun> runs;
  std::span<const CaseExpansion> expansions;
};

CaseTables tables_of(Case to) {
  switch (to) {
    case Case::kUpper:
      return {kToUpper, kToUpperSeveral};
    case Case::kLower:
      return {kToLower, kToLowerSeveral};
    case Case::kTitle:
      return {kToTitle, kToTitleSeveral};
    case Case::kFold:
      return {kToFold, kToFoldSeveral};
  }
  return {};
}

}  // namespace

bool is_in(CharacterClass character_class, char32_t c) {
  if (character_class == CharacterClass::kSpace && c < 0x80)
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c < 32);
  return contains(ranges_of(character_class), c);
}

char32_t decode_at(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])) : 0U;
  };
  const std::uint32_t lead = byte(at);
  if (lead < 0x80) {
    at += 1;
    return lead;
  }
  if (lead < 0xE0) {
    at += 2;
    return (lead & 0x1FU) << 6 | (byte(at - 1) & 0x3FU);
  }
  if (lead < 0xF0) {
    at += 3;
    return (lead & 0x0FU) << 12 | (byte(at - 2) & 0x3FU) << 6 | (byte(at - 1) & 0x3FU);
  }
  at += 4;
  return (lead & 0x07U) << 18 | (byte(at - 3) & 0x3FU) << 12 | (byte(at - 2) & 0x3FU) << 6 | (byte(at - 1) & 0x3FU);
}

char32_t decode_before(std::string_view text, std::size_t& at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U);
  std::size_t forward = at;
  return decode_at(text, forward);
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0U | c >> 6);
    put(0x80U | (c & 0x3FU));
  } else if (c < 0x10000) {
    put(0xE0U | c >> 12);
    put(0x80U | (c >> 6 & 0x3FU));
    put(0x80U | (c & 0x3FU));
  } else {
    put(0xF0U | c >> 18);
    put(0x80U | (c >> 12 & 0x3FU));
    put(0x80U | (c >> 6 & 0x3FU));
    put(0x80U | (c & 0x3FU));
  }
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0U) != 0x80U) return false;
    }
    std::size_t at = i;
    const char32_t c = decode_at(text, at);
    if ((length == 3 && (c < 0x800 || (c >= 0xD800 && c <= 0xDFFF))) ||
        (length == 4 && (c < 0x10000 || c > 0x10FFFF))) {
      return false;
    }
    i += length;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (const char c : text) all = static_cast<unsigned char>(all | static_cast<unsigned char>(c));
  return all < 0x80;
}

std::size_t count_characters(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
  return n;
}

std::u32string to_case(Case to, char32_t c) {
  const auto [runs, expansions] = tables_of(to);
  const auto several = std::lower_bound(expansions.begin(), expansions.end(), c,
                                        [](const CaseExpansion& entry, char32_t value) { return entry.from < value; });
  if (several != expansions.end() && several->from == c) {
    std::u32string out;
    for (const std::uint32_t x : several->to) {
      if (x != 0) out.push_back(x);
    }
    return out;
  }
  const auto after = std::upper_bound(runs.begin(), runs.end(), c,
                                      [](char32_t value, const CaseRun& run) { return value < run.first; });
  // Runs of stride two interleave (capital, small, capital, …), so the run that holds c may not be the nearest one.
  for (auto run = after; run != runs.begin() && after - run < 2;) {
    --run;
    if (c <= run->last && (c - run->first) % run->stride == 0) {
      return {static_cast<char32_t>(static_cast<std::int64_t>(c) + run->delta)};
    }
  }
  return {c};
}

bool is_final_sigma(const std::vector<char32_t>& text, std::size_t at) {
  const auto skips = [](char32_t c) { return contains(kIgnoredBeforeSigma, c); };
  std::size_t before = at;
  while (before > 0 && skips(text[before - 1])) --before;
  if (before == 0 || !contains(kCasedBeforeSigma, text[before - 1])) return false;
  std::size_t after = at + 1;
  while (after < text.size() && skips(text[after])) ++after;
  return after == text.size() || !contains(kCasedBeforeSigma, text[after]);
}

}  // namespace cadre::chat
