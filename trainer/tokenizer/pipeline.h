// A tokenizer's parts, as its files declare them; what loading gives and encoding uses.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/added_tokens.h"
#include "trainer/tokenizer/bpe.h"
#include "trainer/tokenizer/decoders.h"
#include "trainer/tokenizer/normalizers.h"
#include "trainer/tokenizer/pre_tokenizers.h"

namespace cadre::tokenizer {

// What a post-processor makes of the tokens of one text.
struct TemplatePart {
  bool is_text = false;      // the text's tokens
  std::vector<TokenId> ids;  // else these, where special tokens are asked for
};

struct Pipeline {
  std::vector<std::unique_ptr<const AddedToken>> added_tokens;
  AddedTokenFinder raw_tokens, normalized_tokens;
  Normalizers normalizers;
  PreTokenizers pre_tokenizers;
  // Metaspace asks whether a piece begins the text, which only ranges tell once the text has been changed.
  bool needs_ranges = false;
  std::unique_ptr<Bpe> model;
  std::vector<TemplatePart> post_processor{{.is_text = true, .ids = {}}};
  std::optional<Decoders> decoders;  // none: tokens are joined with spaces
};

// From the text of tokenizer.json, or of vocab.json and merges.txt with GPT-2's pipeline. UserError: `where` (and
// `merges_where`) name the files, the message the component that is malformed or unknown.
Pipeline load_tokenizer_json(std::string_view json, const std::string& where);
Pipeline load_gpt2_files(std::string_view vocab_json, const std::string& where, std::string_view merges,
                         const std::string& merges_where);

// What tokenizer_config.json, special_tokens_map.json and chat_template.jinja say.
struct TokenizerConfig {
  std::optional<std::string> bos_token, eos_token, pad_token, unk_token, chat_template, tokenizer_class;
};

// Adds what `json` says and `config` has not yet. A chat template that is a list gives the one named "default".
void read_tokenizer_config(std::string_view json, const std::string& where, TokenizerConfig& config);

}  // namespace cadre::tokenizer
