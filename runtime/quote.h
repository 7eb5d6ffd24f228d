// Names and values of others in messages: printable and short, whatever they hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

namespace cadre::runtime {

// In double quotes; control characters as \xNN, what follows 80 bytes as "…".
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMaxBytes = 80;
  std::string result = "\"";
  std::size_t end = std::min(text.size(), kMaxBytes);
  // Never cuts a UTF-8 sequence: back to where one begins.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  for (const char letter : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < 0x20 || byte == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      result += escape;
    } else {
      result += letter;
    }
  }
  return result + (end < text.size() ? "…\"" : "\"");
}

}  // namespace cadre::runtime
