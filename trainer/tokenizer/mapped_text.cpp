#include "trainer/tokenizer/mapped_text.h"

#include <algorithm>
#include <array>

#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

// Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 and on, in order.
struct ByteAlphabet {
  std::array<std::string, 256> characters;
  std::array<int, 512> bytes;

  ByteAlphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t c = printable ? static_cast<char32_t>(byte) : next++;
      append_utf8(characters[static_cast<std::size_t>(byte)], c);
      bytes[c] = byte;
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet instance;
  return instance;
}

}  // namespace

MappedText MappedText::identity(std::string_view text, std::size_t begin, bool tracked) {
  MappedText out(tracked, begin == 0);
  out.text_ = text;
  if (!tracked) return out;
  out.from_.resize(text.size());
  ByteRange* const from = out.from_.data();
  const auto shift = static_cast<std::uint32_t>(begin);
  for (std::uint32_t at = 0; at < text.size();) {
    const auto end = at + static_cast<std::uint32_t>(length_by_lead(text[at]));
    for (const ByteRange range{shift + at, shift + end}; at < end; ++at) from[at] = range;
  }
  return out;
}

MappedText MappedText::copy(const Piece& piece) {
  MappedText out = like(piece);
  out.append(piece);
  return out;
}

void MappedText::append(char32_t c, ByteRange from) {
  const std::size_t before = text_.size();
  append_utf8(text_, c);
  if (tracked_) from_.insert(from_.end(), text_.size() - before, from);
}

void append_changes(MappedText& out, const MappedText& in, std::size_t begin, const std::vector<Change>& changes) {
  std::size_t at = begin;
  const auto skip = [&] {
    if (at < in.text().size()) at += length_by_lead(in.text()[at]);
  };
  for (const auto& [c, change] : changes) {
    if (change > 0) {
      out.append(c, at == 0 ? ByteRange{} : in.from(at - 1));
      continue;
    }
    out.append(c, in.from(at));
    for (int i = 0; i <= -change; ++i) skip();
  }
}

std::string_view byte_level_character(unsigned char byte) {
  return alphabet().characters[byte];
}

int byte_of_character(char32_t c) {
  return c < 512 ? alphabet().bytes[c] : -1;
}

MappedText to_byte_level(const Piece& piece) {
  MappedText out = MappedText::like(piece);
  out.reserve(piece.text.size() * 2);
  for (std::size_t i = 0; i < piece.text.size(); ++i)
    out.append(byte_level_character(static_cast<unsigned char>(piece.text[i])),
               piece.from == nullptr ? ByteRange{} : piece.from[i]);
  return out;
}

}  // namespace cadre::tokenizer
