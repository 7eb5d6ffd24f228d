#include "trainer/tokenizer/pre_tokenizers.h"

#include <algorithm>
#include <utility>

#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

struct Part {
  std::size_t begin, end;
  bool is_match;
};

// Parts come in order and cover the piece; `parts` may be worn.
void give_parts(const Piece& piece, std::vector<Part>& parts, SplitBehavior behavior, PieceSink& sink) {
  std::vector<Part> joined;
  bool previous = false;
  switch (behavior) {
    case SplitBehavior::kIsolated:
      joined.swap(parts);
      break;
    case SplitBehavior::kRemoved:
      for (const Part& part : parts)
        if (!part.is_match) joined.push_back(part);
      break;
    case SplitBehavior::kContiguous:
      for (const Part& part : parts) {
        if (part.is_match == previous && !joined.empty())
          joined.back().end = part.end;
        else
          joined.push_back(part);
        previous = part.is_match;
      }
      break;
    case SplitBehavior::kMergedWithPrevious:
      for (const Part& part : parts) {
        if (part.is_match && !previous && !joined.empty())
          joined.back().end = part.end;
        else
          joined.push_back(part);
        previous = part.is_match;
      }
      break;
    case SplitBehavior::kMergedWithNext:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (part->is_match && !previous && !joined.empty())
          joined.back().begin = part->begin;
        else
          joined.push_back(*part);
        previous = part->is_match;
      }
      std::reverse(joined.begin(), joined.end());
      break;
  }
  for (const Part& part : joined)
    if (part.begin < part.end) sink.take(piece.part(part.begin, part.end));
}

// `for_each_match(on_match)` calls on_match(begin, end) with offsets in the piece, in order.
template <typename ForEachMatch>
void split_at_matches(const Piece& piece, SplitBehavior behavior, bool invert, PieceSink& sink,
                      const ForEachMatch& for_each_match) {
  const std::size_t size = piece.text.size();
  std::size_t done = 0;
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    const bool keep_gaps = behavior == SplitBehavior::kIsolated || !invert;
    const bool keep_matches = behavior == SplitBehavior::kIsolated || invert;
    for_each_match([&](std::size_t begin, std::size_t end) {
      if (keep_gaps && done < begin) sink.take(piece.part(done, begin));
      if (keep_matches && begin < end) sink.take(piece.part(begin, end));
      done = end;
    });
    if (keep_gaps && done < size) sink.take(piece.part(done, size));
    return;
  }
  std::vector<Part> parts;
  for_each_match([&](std::size_t begin, std::size_t end) {
    if (done < begin) parts.push_back({done, begin, invert});
    parts.push_back({begin, end, !invert});
    done = end;
  });
  if (done < size) parts.push_back({done, size, invert});
  give_parts(piece, parts, behavior, sink);
}

class RegexSplit final : public PreTokenizer {
 public:
  RegexSplit(Regex pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void split(const Piece& piece, PieceSink& sink) const override {
    const char* const data = piece.text.data();
    split_at_matches(piece, behavior_, invert_, sink, [&](const auto& on_match) {
      pattern_.for_each_match(piece.text, [&](const Regex::Match& match) {
        on_match(static_cast<std::size_t>(match.begin - data), static_cast<std::size_t>(match.end - data));
      });
    });
  }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class StringSplit final : public PreTokenizer {
 public:
  StringSplit(std::string pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void split(const Piece& piece, PieceSink& sink) const override {
    split_at_matches(piece, behavior_, invert_, sink, [&](const auto& on_match) {
      for (std::size_t at = piece.text.find(pattern_); at != std::string_view::npos;
           at = piece.text.find(pattern_, at + pattern_.size()))
        on_match(at, at + pattern_.size());
    });
  }

 private:
  std::string pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(CodePointSet set, SplitBehavior behavior) : set_(std::move(set)), behavior_(behavior) {}
  void split(const Piece& piece, PieceSink& sink) const override {
    const char* const begin = piece.text.data();
    split_at_matches(piece, behavior_, false, sink, [&](const auto& on_match) {
      for (const char* at = begin; at != begin + piece.text.size();) {
        const char* const first = at;
        if (set_.contains(next_code_point(at)))
          on_match(static_cast<std::size_t>(first - begin), static_cast<std::size_t>(at - begin));
      }
    });
  }

 private:
  CodePointSet set_;
  SplitBehavior behavior_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(char32_t replacement, PrependScheme scheme, bool split) : scheme_(scheme), split_(split) {
    append_utf8(replacement_, replacement);
  }
  void split(const Piece& piece, PieceSink& sink) const override {
    const bool has_prefix = piece.text[0] == ' ' || piece.text.starts_with(replacement_);
    MappedText text = MappedText::like(piece);
    text.reserve(piece.text.size() + piece.text.size() / 2 + replacement_.size());
    if (!has_prefix && (scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && piece.at_start)))
      text.append(replacement_, piece.from == nullptr ? ByteRange{} : piece.from[0]);
    std::size_t done = 0;
    for (std::size_t at = piece.text.find(' '); at != std::string_view::npos; at = piece.text.find(' ', done)) {
      text.append(piece.part(done, at));
      text.append(replacement_, piece.from == nullptr ? ByteRange{} : piece.from[at]);
      done = at + 1;
    }
    text.append(piece.part(done, piece.text.size()));
    const Piece whole = text.piece();
    if (!split_) return sink.take(whole);
    split_at_matches(whole, SplitBehavior::kMergedWithNext, false, sink, [&](const auto& on_match) {
      for (std::size_t at = whole.text.find(replacement_); at != std::string_view::npos;
           at = whole.text.find(replacement_, at + replacement_.size()))
        on_match(at, at + replacement_.size());
    });
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
};

class PrefixSpace final : public PreTokenizer {
 public:
  void split(const Piece& piece, PieceSink& sink) const override {
    if (piece.text[0] == ' ') return sink.take(piece);
    MappedText text = MappedText::like(piece);
    text.append(" ", piece.from == nullptr ? ByteRange{} : piece.from[0]);
    text.append(piece);
    sink.take(text.piece());
  }
};

class ByteLevelAlphabet final : public PreTokenizer {
 public:
  void split(const Piece& piece, PieceSink& sink) const override { sink.take(to_byte_level(piece).piece()); }
};

class Step final : public PieceSink {
 public:
  Step(const PreTokenizers& all, std::size_t index, PieceSink& last) : all_(all), index_(index), last_(last) {}
  void take(const Piece& piece) override {
    if (index_ + 1 == all_.size()) return all_[index_]->split(piece, last_);
    Step next(all_, index_ + 1, last_);
    all_[index_]->split(piece, next);
  }

 private:
  const PreTokenizers& all_;
  std::size_t index_;
  PieceSink& last_;
};

}  // namespace

void split(const PreTokenizers& pre_tokenizers, const Piece& piece, PieceSink& sink) {
  if (pre_tokenizers.empty()) return sink.take(piece);
  Step(pre_tokenizers, 0, sink).take(piece);
}

std::unique_ptr<const PreTokenizer> make_split(Regex pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<RegexSplit>(std::move(pattern), behavior, invert);
}
std::unique_ptr<const PreTokenizer> make_split(std::string pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<StringSplit>(std::move(pattern), behavior, invert);
}
std::unique_ptr<const PreTokenizer> make_split(CodePointSet set, SplitBehavior behavior) {
  return std::make_unique<CharacterSplit>(std::move(set), behavior);
}
std::unique_ptr<const PreTokenizer> make_metaspace(char32_t replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(replacement, scheme, split);
}
std::unique_ptr<const PreTokenizer> make_prefix_space() {
  return std::make_unique<PrefixSpace>();
}
std::unique_ptr<const PreTokenizer> make_byte_level_alphabet() {
  return std::make_unique<ByteLevelAlphabet>();
}

}  // namespace cadre::tokenizer
