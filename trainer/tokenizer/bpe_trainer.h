// Trains a byte-level BPE tokenizer: the quickstart's base model gets its own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::tokenizer {

// The text of a tokenizer.json of `vocab_size` tokens with GPT-2's pipeline: the special tokens first (ids from 0),
// then the 256 bytes, then merges by falling frequency in `corpus`; ties go to the pair whose tokens were made first.
// Fewer tokens where the corpus has no pair left. The same arguments give the same bytes. UserError where `corpus` is
// not UTF-8, a special token is empty or stands there twice, or `vocab_size` has no room for the special tokens and
// bytes.
std::string train_byte_level_bpe(std::string_view corpus, std::size_t vocab_size,
                                 const std::vector<std::string>& special_tokens);

// The text of the tokenizer_config.json that goes with it; `end_of_text` is BOS, EOS and padding, without which
// transformers makes no batches.
std::string make_tokenizer_config(std::string_view end_of_text);

}  // namespace cadre::tokenizer
