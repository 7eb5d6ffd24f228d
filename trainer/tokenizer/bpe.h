// Byte-pair encoding: words into tokens (Sennrich et al. 2016, arXiv:1508.07909), equal to `tokenizers`' BPE model.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/tokenizer/vocabulary.h"
#include "trainer/tokenizer/word_cache.h"

namespace cadre::tokenizer {

struct BpeOptions {
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix, end_of_word_suffix;
  bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
};

class Bpe {
 public:
  // Ids are below kIdLimit and differ. UserError, beginning with `where`, for a merge that names an unknown token.
  Bpe(TokenTable tokens, const std::vector<std::pair<std::string_view, std::string_view>>& merges, BpeOptions options,
      const std::string& where);

  // Words are given as bytes from now on, not in the byte-level alphabet, which this undoes in the vocabulary. false,
  // and nothing changes, where the vocabulary lacks a byte.
  bool use_raw_bytes();

  // Appends the tokens of `word`; where `lengths` is not null, how many bytes of it each covers. UserError where it
  // has an unknown character and the vocabulary lacks unk_token.
  void encode(std::string_view word, std::vector<TokenId>& ids, std::vector<std::uint32_t>* lengths) const;

  const TokenTable& tokens() const { return tokens_; }
  // The token's text; nullopt where no token has this id.
  std::optional<std::string_view> text_of(TokenId id) const;

 private:
  struct Symbol {
    TokenId id;
    std::uint32_t length;
  };
  struct Scratch;

  void encode_part(std::string_view part, std::vector<TokenId>& ids, std::vector<std::uint32_t>* lengths) const;
  template <typename Table>
  void encode_cached(Table& table, std::string_view part, std::vector<TokenId>& ids,
                     std::vector<std::uint32_t>* lengths) const;
  const std::vector<Symbol>& compute(std::string_view part) const;
  void split_bytes(std::string_view part, std::vector<Symbol>& symbols) const;
  void split_characters(std::string_view part, std::vector<Symbol>& symbols) const;
  void merge_few(Scratch& scratch) const;
  void merge_many(Scratch& scratch) const;
  TokenId unknown_id() const;
  TokenId id_of_character(std::string_view character, bool first, bool last, std::string& spelled) const;
  void find_safe_cuts(const std::vector<std::pair<std::string_view, std::string_view>>& merges);
  std::size_t next_cut(std::string_view word, std::size_t from) const;

  TokenTable tokens_;
  MergeTable merges_;
  BpeOptions options_;
  std::string where_;
  std::vector<std::uint32_t> entry_by_id_;  // index in tokens_.entries(), plus 1
  std::vector<TokenId> short_characters_;   // ids of code points below kShortCharacters
  std::array<TokenId, 256> byte_ids_{};     // of raw bytes, or of <0xHH>; -1 where there is none
  TokenId unk_id_ = -1;
  bool raw_bytes_ = false;
  TokenTable raw_tokens_;  // with raw bytes: tokens by the bytes they stand for
  // Words may be cut before a U+2581 (the space of SentencePiece) that does not follow one of these characters: no
  // merge reaches across. Whole texts come as one word where there is no pre-tokenizer; this makes them many small
  // ones.
  bool cuts_ = false;
  std::vector<char32_t> no_cut_after_;
  std::uint32_t serial_;  // tells this model's words in the threads' caches from others'
};

}  // namespace cadre::tokenizer
