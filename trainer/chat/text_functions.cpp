#include "trainer/chat/text_functions.h"

#include <algorithm>
#include <string>

#include "trainer/chat/budget.h"

namespace cadre::chat {
namespace {

bool in_set(char32_t c, const std::string_view* characters) {
  if (characters == nullptr) return is_space(c);
  for (std::size_t at = 0; at < characters->size();) {
    if (decode_at(*characters, at) == c) return true;
  }
  return false;
}

void check_size(std::size_t size) {
  if (size > Budget::kMaxText) Budget::allocate(size);
}

// Maps every character with its position; the pieces keep the origin of the character.
template <typename Map>
Text map_characters(const Text& text, const Map& map) {
  Budget::allocate(8 * text.size());
  std::vector<char32_t> characters;
  for (std::size_t at = 0; at < text.size();) characters.push_back(decode_at(text.view(), at));
  Text out;
  std::string piece;
  std::size_t at = 0, segment = 0;
  std::uint64_t left = text.tracked() ? text.segments()[0].length : 0;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    piece.clear();
    for (const char32_t c : map(characters, i)) append_utf8(piece, c);
    Origin origin;
    std::size_t next = at;
    decode_at(text.view(), next);
    if (text.tracked()) {
      while (left == 0) left = text.segments()[++segment].length;
      origin = text.segments()[segment].origin;
      left -= next - at;
    }
    at = next;
    out.append(piece, origin);
  }
  return out;
}

std::u32string lower_at(const std::vector<char32_t>& text, std::size_t i) {
  if (text[i] == 0x3A3) return {is_final_sigma(text, i) ? U'\u03C2' : U'\u03C3'};
  return to_case(Case::kLower, text[i]);
}

bool is_cased(char32_t c) {
  return is_in(CharacterClass::kUpper, c) || is_in(CharacterClass::kLower, c) || is_in(CharacterClass::kTitle, c);
}

}  // namespace

Text strip(const Text& text, const std::string_view* characters, Side side) {
  const std::string_view bytes = text.view();
  Budget::work(bytes.size() / 8);
  const std::uint64_t cost = characters == nullptr ? 1 : 1 + characters->size();
  std::size_t begin = 0, end = bytes.size();
  while (side != Side::kRight && begin < end) {
    Budget::work(cost);
    std::size_t next = begin;
    if (!in_set(decode_at(bytes, next), characters)) break;
    begin = next;
  }
  while (side != Side::kLeft && end > begin) {
    Budget::work(cost);
    std::size_t before = end;
    if (!in_set(decode_before(bytes, before), characters)) break;
    end = before;
  }
  return text.slice(begin, end);
}

std::vector<Text> split(const Text& text, std::string_view separator, std::int64_t limit, bool from_right) {
  const std::string_view bytes = text.view();
  Budget::work(bytes.size());
  std::vector<Text> parts;
  if (from_right) {
    std::size_t end = bytes.size();
    while (limit != 0) {
      const std::size_t at = end < separator.size() ? std::string_view::npos : bytes.substr(0, end).rfind(separator);
      if (at == std::string_view::npos) break;
      Budget::allocate(64);
      parts.push_back(text.slice(at + separator.size(), end));
      end = at;
      --limit;
    }
    parts.push_back(text.slice(0, end));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  std::size_t begin = 0;
  while (limit != 0) {
    const std::size_t at = bytes.find(separator, begin);
    if (at == std::string_view::npos) break;
    Budget::allocate(64);
    parts.push_back(text.slice(begin, at));
    begin = at + separator.size();
    --limit;
  }
  parts.push_back(text.slice(begin, bytes.size()));
  return parts;
}

std::vector<Text> split_whitespace(const Text& text, std::int64_t limit, bool from_right) {
  const std::string_view bytes = text.view();
  Budget::work(bytes.size());
  std::vector<std::pair<std::size_t, std::size_t>> words;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    if (is_space(decode_at(bytes, at))) continue;
    Budget::allocate(64);
    while (at < bytes.size()) {
      std::size_t next = at;
      if (is_space(decode_at(bytes, next))) break;
      at = next;
    }
    words.emplace_back(begin, at);
  }
  const auto n = static_cast<std::int64_t>(words.size());
  std::vector<Text> parts;
  if (limit < 0 || n <= limit) {
    for (const auto& [begin, end] : words) parts.push_back(text.slice(begin, end));
  } else if (from_right) {
    const auto first = static_cast<std::size_t>(n - limit);  // words before it stay together
    const Text rest = text.slice(0, words[first - 1].second);
    parts.push_back(rest);
    for (std::size_t i = first; i < words.size(); ++i) parts.push_back(text.slice(words[i].first, words[i].second));
  } else {
    for (std::int64_t i = 0; i < limit; ++i) {
      parts.push_back(text.slice(words[static_cast<std::size_t>(i)].first, words[static_cast<std::size_t>(i)].second));
    }
    parts.push_back(text.slice(words[static_cast<std::size_t>(limit)].first, bytes.size()));
  }
  return parts;
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  const auto ends_line = [](char32_t c) {
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  const std::string_view bytes = text.view();
  Budget::work(bytes.size());
  std::vector<Text> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = at;
    const char32_t c = decode_at(bytes, at);
    if (!ends_line(c)) continue;
    if (c == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    Budget::allocate(64);
    lines.push_back(text.slice(begin, keep_ends ? at : end));
    begin = at;
  }
  if (begin < bytes.size()) lines.push_back(text.slice(begin, bytes.size()));
  return lines;
}

Text replace(const Text& text, const Text& from, const Text& to, std::int64_t limit) {
  const std::string_view bytes = text.view();
  Budget::work(bytes.size());
  Text out;
  std::size_t plain = 0;
  if (from.empty()) {  // between all characters and at both ends
    for (std::size_t at = 0; limit != 0; --limit) {
      Budget::work(4);
      out.append(text, plain, at);
      out.append(to);
      check_size(out.size());
      plain = at;
      if (at >= bytes.size()) break;
      decode_at(bytes, at);
    }
  } else {
    for (; limit != 0; --limit) {
      const std::size_t at = bytes.find(from.view(), plain);
      if (at == std::string_view::npos) break;
      Budget::work(4);
      out.append(text, plain, at);
      out.append(to);
      check_size(out.size());
      plain = at + from.size();
    }
  }
  out.append(text, plain, bytes.size());
  return out;
}

std::uint64_t count_occurrences(std::string_view text, std::string_view what) {
  Budget::work(text.size());
  if (what.empty()) return count_characters(text) + 1;
  std::uint64_t n = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

Text change_case(const Text& text, Case to) {
  if (!text.tracked() && is_ascii(text.view()) && to != Case::kTitle) {
    std::string bytes = text.bytes();
    for (char& c : bytes) {
      if (to == Case::kUpper ? (c >= 'a' && c <= 'z') : (c >= 'A' && c <= 'Z')) c = static_cast<char>(c ^ 0x20);
    }
    return Text(std::move(bytes));
  }
  return map_characters(text, [to](const std::vector<char32_t>& characters, std::size_t i) {
    return to == Case::kLower ? lower_at(characters, i) : to_case(to, characters[i]);
  });
}

Text capitalize(const Text& text) {
  return map_characters(text, [](const std::vector<char32_t>& characters, std::size_t i) {
    return i == 0 ? to_case(Case::kTitle, characters[0]) : lower_at(characters, i);
  });
}

Text swap_case(const Text& text) {
  return map_characters(text, [](const std::vector<char32_t>& characters, std::size_t i) -> std::u32string {
    if (is_in(CharacterClass::kUpper, characters[i])) return lower_at(characters, i);
    if (is_in(CharacterClass::kLower, characters[i])) return to_case(Case::kUpper, characters[i]);
    return {characters[i]};
  });
}

Text python_title(const Text& text) {
  bool inside = false;
  return map_characters(text, [&inside](const std::vector<char32_t>& characters, std::size_t i) {
    const bool first = !inside;
    inside = is_cased(characters[i]);
    return first ? to_case(Case::kTitle, characters[i]) : lower_at(characters, i);
  });
}

Text jinja_title(const Text& text) {
  const auto is_break = [](char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
  };
  // Each word is mapped by itself: whether a sigma ends its word depends on nothing outside.
  const std::string_view bytes = text.view();
  Text out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    std::size_t end = at;
    const bool breaks = is_break(decode_at(bytes, end));
    std::size_t first_end = end;
    while (end < bytes.size()) {
      std::size_t next = end;
      if (is_break(decode_at(bytes, next)) != breaks) break;
      end = next;
    }
    if (breaks) {
      out.append(text, begin, end);
    } else {
      out.append(change_case(text.slice(begin, first_end), Case::kUpper));
      out.append(change_case(text.slice(first_end, end), Case::kLower));
    }
    at = end;
  }
  return out;
}

Text pad(const Text& text, std::uint64_t width, std::string_view fill, Side text_at) {
  const std::uint64_t length = count_characters(text.view());
  if (length >= width) return text;
  const std::uint64_t missing = width - length;
  if (missing > Budget::kMaxText) Budget::allocate(missing);
  Budget::allocate(missing * fill.size() + text.size());
  // Python's center puts the odd one left where the width is odd too.
  const std::uint64_t left = text_at == Side::kLeft    ? 0
                             : text_at == Side::kRight ? missing
                                                       : missing / 2 + (missing & width & 1U);
  std::string before, after;
  for (std::uint64_t i = 0; i < missing; ++i) (i < left ? before : after) += fill;
  Text out;
  out.append(before);
  out.append(text);
  out.append(after);
  return out;
}

}  // namespace cadre::chat
