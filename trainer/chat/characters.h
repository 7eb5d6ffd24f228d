// Characters as Python's str sees them: UTF-8 in and out, classes and case mappings from generated tables.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::chat {

enum class CharacterClass { kSpace, kPrintable, kAlpha, kDecimal, kDigit, kNumeric, kUpper, kLower, kTitle };

bool is_in(CharacterClass character_class, char32_t c);
inline bool is_space(char32_t c) {
  return is_in(CharacterClass::kSpace, c);
}
inline bool is_alphanumeric(char32_t c) {
  return is_in(CharacterClass::kAlpha, c) || is_in(CharacterClass::kNumeric, c);
}

// The character that starts at text[at]; `at` moves past it. The text has to be UTF-8 (see is_utf8).
char32_t decode_at(std::string_view text, std::size_t& at);
// The character that ends before text[at]; `at` moves to its start.
char32_t decode_before(std::string_view text, std::size_t& at);
void append_utf8(std::string& out, char32_t c);
bool is_utf8(std::string_view text);
bool is_ascii(std::string_view text);
std::size_t count_characters(std::string_view text);

enum class Case { kUpper, kLower, kTitle, kFold };

// The characters that `c` becomes, one to three; a capital sigma is mapped without regard to its place in a word.
std::u32string to_case(Case to, char32_t c);
// Whether the capital sigma at position `at` ends its word, so that its lower case is U+03C2.
bool is_final_sigma(const std::vector<char32_t>& text, std::size_t at);

}  // namespace cadre::chat
