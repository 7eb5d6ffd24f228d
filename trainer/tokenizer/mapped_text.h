// Text on its way through the pipeline, and for each of its bytes the range of the original text that it came from.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/tokenizer/tokenizer.h"

namespace cadre::tokenizer {

// A part of a text. `from` has a range for each byte, the same for all bytes of a character; nullptr where ranges are
// not wanted.
struct Piece {
  std::string_view text;
  const ByteRange* from = nullptr;
  bool at_start = false;  // its first byte came from the original text's first byte

  Piece part(std::size_t begin, std::size_t end) const {
    return {text.substr(begin, end - begin), from == nullptr ? nullptr : from + begin,
            begin < end && from != nullptr ? from[begin].begin == 0 : at_start && begin == 0};
  }
  // The range that the bytes [begin, end) came from.
  ByteRange range(std::size_t begin, std::size_t end) const { return {from[begin].begin, from[end - 1].end}; }
};

class MappedText {
 public:
  // The characters of `text`, each from itself; `begin` is where `text` begins in the original.
  static MappedText identity(std::string_view text, std::size_t begin, bool tracked);
  static MappedText copy(const Piece& piece);
  // Empty, to be filled.
  static MappedText like(const MappedText& other) { return MappedText(other.tracked_, other.at_start_); }
  static MappedText like(const Piece& piece) { return MappedText(piece.from != nullptr, piece.at_start); }

  bool tracked() const { return tracked_; }
  const std::string& text() const { return text_; }
  Piece piece() const {
    return {text_, tracked_ ? from_.data() : nullptr, tracked_ && !from_.empty() ? from_[0].begin == 0 : at_start_};
  }
  // Where byte `at` came from; {0, 0} where ranges are not kept.
  ByteRange from(std::size_t at) const { return tracked_ && at < from_.size() ? from_[at] : ByteRange{}; }

  void append(std::string_view text, ByteRange from) {
    text_ += text;
    if (tracked_) from_.insert(from_.end(), text.size(), from);
  }
  void append(char32_t c, ByteRange from);
  void append(const Piece& piece) {
    text_ += piece.text;
    if (tracked_) from_.insert(from_.end(), piece.from, piece.from + piece.text.size());
  }
  void reserve(std::size_t bytes) {
    text_.reserve(bytes);
    if (tracked_) from_.reserve(bytes);
  }

 private:
  MappedText(bool tracked, bool at_start) : tracked_(tracked), at_start_(at_start) {}

  std::string text_;
  std::vector<ByteRange> from_;
  bool tracked_;
  bool at_start_;
};

// Code points that replace the bytes [begin, end) of a text. The change tells where each came from, as `tokenizers` has
// it: 0 takes the place of the next character, -n of the next and n more; 1 is new and came from where the one before
// did.
using Change = std::pair<char32_t, int>;
void append_changes(MappedText& out, const MappedText& in, std::size_t begin, const std::vector<Change>& changes);

// The character that the byte-level alphabet (GPT-2's) writes for a byte, as UTF-8; and the byte for a character, or
// -1.
std::string_view byte_level_character(unsigned char byte);
int byte_of_character(char32_t c);
// `piece` in that alphabet.
MappedText to_byte_level(const Piece& piece);

}  // namespace cadre::tokenizer
