// A Hugging Face tokenizer in C++: tokenizer.json (BPE, byte-level and SentencePiece-like), or vocab.json + merges.txt.
// Every id equals that of the `tokenizers` library. Immutable after loading: any number of threads may use one.
// `truncation` and `padding` in tokenizer.json are left-overs of somebody's call and are not applied, nor are offsets
// trimmed as its ByteLevel post-processor would: a token's range holds all the bytes that it came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::tokenizer {

using TokenId = std::int32_t;

// The half-open range of bytes in the original text that a token came from; empty for tokens that a post-processor
// added.
struct ByteRange {
  std::uint32_t begin = 0, end = 0;
};

struct Encoding {
  std::vector<TokenId> ids;
  std::vector<ByteRange> ranges;  // as many as ids
};

class Tokenizer {
 public:
  // From a model folder: tokenizer.json, else vocab.json + merges.txt; tokenizer_config.json for bos/eos/pad and the
  // chat template. UserError names the file and the component that is unknown or malformed.
  static Tokenizer load(const std::filesystem::path& folder);
  // The same from memory; `where` names the text in errors. What the fuzz target calls.
  static Tokenizer from_json(std::string_view tokenizer_json, const std::string& where);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // UserError where `text` is not UTF-8. `add_special_tokens` runs the post-processor (BOS, EOS templates).
  std::vector<TokenId> encode(std::string_view text, bool add_special_tokens) const;
  Encoding encode_with_ranges(std::string_view text, bool add_special_tokens) const;
  // Ids outside the vocabulary are skipped, as `tokenizers` does.
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const;

  std::size_t vocab_size() const;  // with added tokens: highest id + 1
  std::optional<TokenId> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(TokenId id) const;

  // From tokenizer_config.json (string or {"content": …}); nullopt where absent. Texts for templates, ids for data.
  const std::optional<std::string>& bos_token() const;
  const std::optional<std::string>& eos_token() const;
  const std::optional<std::string>& pad_token() const;
  const std::optional<std::string>& unk_token() const;
  std::optional<TokenId> bos_id() const;
  std::optional<TokenId> eos_id() const;
  // chat_template.jinja wins over the key in tokenizer_config.json; a list of {name, template} gives the one named
  // "default".
  const std::optional<std::string>& chat_template() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

}  // namespace cadre::tokenizer
