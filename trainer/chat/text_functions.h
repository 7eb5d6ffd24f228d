// What Python's str methods do, on texts that know their origin: every byte keeps that of the byte it came from.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "trainer/chat/characters.h"
#include "trainer/chat/text.h"

namespace cadre::chat {

enum class Side { kBoth, kLeft, kRight };
// `characters`: the set to strip; null: white space.
Text strip(const Text& text, const std::string_view* characters, Side side);

// At most `limit` splits, from the left or right; negative: all.
std::vector<Text> split(const Text& text, std::string_view separator, std::int64_t limit, bool from_right = false);
std::vector<Text> split_whitespace(const Text& text, std::int64_t limit, bool from_right = false);
std::vector<Text> split_lines(const Text& text, bool keep_ends);

// At most `limit` replacements; negative: all. Failure where the result is too long.
Text replace(const Text& text, const Text& from, const Text& to, std::int64_t limit);
std::uint64_t count_occurrences(std::string_view text, std::string_view what);

Text change_case(const Text& text, Case to);
Text capitalize(const Text& text);
Text swap_case(const Text& text);
Text python_title(const Text& text);  // str.title: every letter after a non-letter is upper case
Text jinja_title(const Text& text);   // the filter: words begin after white space, - ( { [ <

// Padded to `width` characters; `fill` is one character.
Text pad(const Text& text, std::uint64_t width, std::string_view fill, Side text_at);

}  // namespace cadre::chat
