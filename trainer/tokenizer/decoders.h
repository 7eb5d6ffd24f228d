// The decoders of tokenizer.json: tokens' texts back into text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/tokenizer/regex.h"

namespace cadre::tokenizer {

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

// In order, one after the other; what is left is joined.
using Decoders = std::vector<std::unique_ptr<const Decoder>>;

// The byte-level alphabet back into bytes; what is not UTF-8 then becomes U+FFFD.
std::unique_ptr<const Decoder> make_byte_level_decoder();
// `pattern` is not empty.
std::unique_ptr<const Decoder> make_replace_decoder(std::string pattern, std::string content);
std::unique_ptr<const Decoder> make_replace_decoder(Regex pattern, std::string content);
// <0xHH> into bytes; a run of them that is not UTF-8 becomes a U+FFFD for each.
std::unique_ptr<const Decoder> make_byte_fallback_decoder();
std::unique_ptr<const Decoder> make_fuse_decoder();
// Up to `start` times `content` from each token's front, up to `stop` times from its end.
std::unique_ptr<const Decoder> make_strip_decoder(char32_t content, std::size_t start, std::size_t stop);
// `replacement` into spaces; at the front of the first token into nothing, where the encoder had put it.
std::unique_ptr<const Decoder> make_metaspace_decoder(char32_t replacement, bool prepended);
// `suffix` into a space, in the last token into nothing.
std::unique_ptr<const Decoder> make_bpe_decoder(std::string suffix);

}  // namespace cadre::tokenizer
