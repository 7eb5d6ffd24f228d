// The pre-tokenizers of tokenizer.json: how normalized text is cut into the words that the model sees.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/code_point_set.h"
#include "trainer/tokenizer/mapped_text.h"
#include "trainer/tokenizer/regex.h"

namespace cadre::tokenizer {

// Takes pieces as they are cut off; they live until take() returns.
class PieceSink {
 public:
  virtual void take(const Piece& piece) = 0;

 protected:
  ~PieceSink() = default;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // `piece` and what is given to `sink` are not empty.
  virtual void split(const Piece& piece, PieceSink& sink) const = 0;
};

// Each cuts what the one before it gives.
using PreTokenizers = std::vector<std::unique_ptr<const PreTokenizer>>;

void split(const PreTokenizers& pre_tokenizers, const Piece& piece, PieceSink& sink);

// The pattern of GPT-2, which the ByteLevel pre-tokenizer has built in.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What becomes of the matches of a pattern.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
enum class PrependScheme { kAlways, kFirst, kNever };

// `invert` swaps matches and what is between them.
std::unique_ptr<const PreTokenizer> make_split(Regex pattern, SplitBehavior behavior, bool invert);
std::unique_ptr<const PreTokenizer> make_split(std::string pattern, SplitBehavior behavior, bool invert);
// Each character of `set` is a match.
std::unique_ptr<const PreTokenizer> make_split(CodePointSet set, SplitBehavior behavior);
// Spaces become `replacement`, which is put before the text, and words begin with it.
std::unique_ptr<const PreTokenizer> make_metaspace(char32_t replacement, PrependScheme scheme, bool split);
// A space before text that has none.
std::unique_ptr<const PreTokenizer> make_prefix_space();
// The byte-level alphabet instead of bytes.
std::unique_ptr<const PreTokenizer> make_byte_level_alphabet();

}  // namespace cadre::tokenizer
