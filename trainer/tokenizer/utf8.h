// UTF-8 one code point at a time. All but `first_invalid_byte` take text that has been checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace cadre::tokenizer {

inline constexpr char32_t kLastCodePoint = 0x10FFFF;
inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// How many bytes the well-formed character at the front of `text` has; 0 where it is ill-formed. `text` is not empty.
// `prefix` becomes the length of the longest part that could have begun a character (1 at least).
inline std::size_t well_formed_length(std::string_view text, std::size_t& prefix) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  prefix = 1;
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                             : (lead & 0xF0) == 0xE0        ? 3
                             : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                            : 0;
  if (length == 0 || text.size() < 2) return 0;
  // The second byte decides overlong forms, surrogates and the upper bound.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (prefix = 2; prefix < length; ++prefix)
    if (prefix == text.size() || (byte(prefix) & 0xC0) != 0x80) return 0;
  return length;
}

// The offset of the first byte that is not UTF-8; npos where there is none.
inline std::size_t first_invalid_byte(std::string_view text) {
  std::size_t at = 0, prefix;
  while (at < text.size()) {
    while (text.size() - at >= 32) {
      std::uint64_t words[4];
      std::memcpy(words, text.data() + at, 32);
      if (((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080u) != 0) break;
      at += 32;
    }
    if (at == text.size()) break;
    const std::size_t length = well_formed_length(text.substr(at), prefix);
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

inline std::size_t length_by_lead(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// The code point at `at`, which moves past it.
inline char32_t next_code_point(const char*& at) {
  const auto byte = [&](int i) { return static_cast<char32_t>(static_cast<unsigned char>(at[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return ++at, lead;
  char32_t value;
  if (lead < 0xE0) {
    value = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    at += 2;
  } else if (lead < 0xF0) {
    value = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    at += 3;
  } else {
    value = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    at += 4;
  }
  return value;
}

// The start of the character that ends before `at`.
inline const char* previous_character(const char* at) {
  do --at;
  while ((static_cast<unsigned char>(*at) & 0xC0) == 0x80);
  return at;
}

inline std::size_t utf8_length(char32_t c) {
  return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

inline void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// Appends `bytes`; each longest ill-formed part becomes one U+FFFD (Unicode's "maximal subpart" practice).
inline void append_lossy_utf8(std::string& out, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t valid = first_invalid_byte(bytes);
    if (valid == std::string_view::npos) {
      out += bytes;
      return;
    }
    out += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    std::size_t prefix;
    well_formed_length(bytes, prefix);
    append_utf8(out, kReplacementCharacter);
    bytes.remove_prefix(prefix);
  }
}

}  // namespace cadre::tokenizer
