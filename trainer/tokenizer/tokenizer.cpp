#include "trainer/tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/tokenizer/json_object.h"
#include "trainer/tokenizer/pipeline.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {

struct Tokenizer::State {
  Pipeline pipeline;
  TokenizerConfig config;
  struct Added {
    std::string text;  // as decode sees it: normalized, where the token is
    bool skipped;      // by skip_special_tokens
  };
  std::unordered_map<TokenId, Added> added_by_id;
  std::unordered_map<std::string_view, TokenId> added_by_content;
  std::size_t vocab_size = 0;

  explicit State(Pipeline loaded);
};

Tokenizer::State::State(Pipeline loaded) : pipeline(std::move(loaded)) {
  TokenId highest = -1;
  for (const auto& entry : pipeline.model->tokens().entries()) highest = std::max(highest, entry.id);
  std::unordered_set<std::string_view> special;
  for (const auto& token : pipeline.added_tokens) {
    highest = std::max(highest, token->id);
    added_by_content.emplace(token->content, token->id);
    if (token->special) special.insert(token->content);
  }
  for (const auto& token : pipeline.added_tokens) {
    MappedText text = MappedText::identity(token->content, 0, false);
    if (token->normalized) run_all(pipeline.normalizers, text);
    // What is skipped goes by the text that decode sees.
    added_by_id.emplace(token->id, Added{text.text(), special.contains(text.text())});
  }
  vocab_size = static_cast<std::size_t>(highest + 1);
}

namespace {

// Collects the tokens of one text.
class Encoder final : public PieceSink {
 public:
  Encoder(const Pipeline& pipeline, std::vector<TokenId>& ids, std::vector<ByteRange>* ranges)
      : pipeline_(pipeline), ids_(ids), ranges_(ranges), tracked_(ranges != nullptr || pipeline.needs_ranges) {}

  void encode(std::string_view text) {
    std::size_t done = 0;
    for (const auto& found : pipeline_.raw_tokens.find(text)) {
      encode_unnormalized(text, done, found.begin);
      add(*found.token, {static_cast<std::uint32_t>(found.begin), static_cast<std::uint32_t>(found.end)});
      done = found.end;
    }
    encode_unnormalized(text, done, text.size());
  }

  // A word of the pre-tokenizers.
  void take(const Piece& word) override {
    if (ranges_ == nullptr) return pipeline_.model->encode(word.text, ids_, nullptr);
    lengths_.clear();
    pipeline_.model->encode(word.text, ids_, &lengths_);
    std::size_t at = 0;
    for (const std::uint32_t length : lengths_) {
      const std::size_t begin = std::min(at, word.text.size() - 1);
      const std::size_t end = std::clamp(at + length, begin + 1, word.text.size());
      ranges_->push_back(word.range(begin, end));
      at += length;
    }
  }

 private:
  void add(const AddedToken& token, ByteRange range) {
    ids_.push_back(token.id);
    if (ranges_ != nullptr) ranges_->push_back(range);
  }

  void encode_unnormalized(std::string_view text, std::size_t begin, std::size_t end) {
    if (begin >= end) return;
    if (!tracked_ && pipeline_.normalizers.empty() && pipeline_.normalized_tokens.empty())
      return split(pipeline_.pre_tokenizers, {text.substr(begin, end - begin), nullptr, begin == 0}, *this);
    MappedText normalized = MappedText::identity(text.substr(begin, end - begin), begin, tracked_);
    run_all(pipeline_.normalizers, normalized);
    const Piece all = normalized.piece();
    std::size_t done = 0;
    for (const auto& found : pipeline_.normalized_tokens.find(all.text)) {
      if (done < found.begin) split(pipeline_.pre_tokenizers, all.part(done, found.begin), *this);
      add(*found.token, tracked_ ? all.range(found.begin, found.end) : ByteRange{});
      done = found.end;
    }
    if (done < all.text.size()) split(pipeline_.pre_tokenizers, all.part(done, all.text.size()), *this);
  }

  const Pipeline& pipeline_;
  std::vector<TokenId>& ids_;
  std::vector<ByteRange>* ranges_;
  bool tracked_;
  std::vector<std::uint32_t> lengths_;
};

void encode_into(const Pipeline& pipeline, std::string_view text, bool add_special_tokens, std::vector<TokenId>& ids,
                 std::vector<ByteRange>* ranges) {
  if (text.size() > std::numeric_limits<std::uint32_t>::max())
    throw runtime::UserError(
        runtime::say("expected a text of less than 4 GiB, found ", text.size(), " bytes; split it"));
  if (const std::size_t bad = first_invalid_byte(text); bad != std::string_view::npos)
    throw runtime::UserError(runtime::say("expected UTF-8 text, found another byte at byte ", bad));
  ids.reserve(text.size() / 4 + 8);
  if (ranges != nullptr) ranges->reserve(text.size() / 4 + 8);
  const auto& parts = pipeline.post_processor;
  const bool plain = parts.size() == 1 && parts[0].is_text;
  std::vector<TokenId> inner_ids;
  std::vector<ByteRange> inner_ranges;
  const auto texts = std::count_if(parts.begin(), parts.end(), [](const auto& part) { return part.is_text; });
  if (texts > 1) Encoder(pipeline, inner_ids, ranges == nullptr ? nullptr : &inner_ranges).encode(text);
  if (plain) return Encoder(pipeline, ids, ranges).encode(text);
  for (const TemplatePart& part : parts) {
    if (!part.is_text) {
      if (!add_special_tokens) continue;
      ids.insert(ids.end(), part.ids.begin(), part.ids.end());
      if (ranges != nullptr) ranges->insert(ranges->end(), part.ids.size(), ByteRange{});
    } else if (texts == 1) {
      Encoder(pipeline, ids, ranges).encode(text);
    } else {
      ids.insert(ids.end(), inner_ids.begin(), inner_ids.end());
      if (ranges != nullptr) ranges->insert(ranges->end(), inner_ranges.begin(), inner_ranges.end());
    }
  }
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, const std::string& where) {
  return Tokenizer(std::make_unique<State>(load_tokenizer_json(tokenizer_json, where)));
}

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const auto is_there = [&](const char* name) {
    std::error_code ignored;
    return fs::exists(folder / name, ignored);
  };
  const auto read = [&](const char* name) { return runtime::read_file(folder / name, kMaxJsonBytes); };
  const auto where = [&](const char* name) { return (folder / name).string(); };

  TokenizerConfig config;
  if (is_there("chat_template.jinja")) config.chat_template = read("chat_template.jinja");
  if (is_there("tokenizer_config.json"))
    read_tokenizer_config(read("tokenizer_config.json"), where("tokenizer_config.json"), config);
  if (is_there("special_tokens_map.json"))
    read_tokenizer_config(read("special_tokens_map.json"), where("special_tokens_map.json"), config);
  if (config.chat_template && first_invalid_byte(*config.chat_template) != std::string::npos)
    throw runtime::UserError(where("chat_template.jinja") + ": expected UTF-8, found another byte");

  Pipeline pipeline;
  if (is_there("tokenizer.json")) {
    pipeline = load_tokenizer_json(read("tokenizer.json"), where("tokenizer.json"));
  } else if (is_there("vocab.json") && is_there("merges.txt")) {
    const std::string tokenizer_class = config.tokenizer_class.value_or("GPT2Tokenizer");
    if (tokenizer_class != "GPT2Tokenizer" && tokenizer_class != "GPT2TokenizerFast")
      throw runtime::UserError(where("tokenizer_config.json") + ": vocab.json and merges.txt alone do not say how \"" +
                               tokenizer_class + "\" splits text; save the tokenizer as tokenizer.json");
    if (is_there("added_tokens.json"))
      throw runtime::UserError(where("added_tokens.json") +
                               ": is not read beside vocab.json; save the tokenizer as tokenizer.json");
    pipeline = load_gpt2_files(read("vocab.json"), where("vocab.json"), read("merges.txt"), where("merges.txt"));
  } else {
    throw runtime::UserError(folder.string() +
                             ": expected tokenizer.json, or vocab.json and merges.txt, found neither" +
                             (is_there("tokenizer.model") ? "; convert tokenizer.model to tokenizer.json" : ""));
  }
  auto state = std::make_unique<State>(std::move(pipeline));
  state->config = std::move(config);
  return Tokenizer(std::move(state));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<TokenId> ids;
  encode_into(state_->pipeline, text, add_special_tokens, ids, nullptr);
  return ids;
}

Encoding Tokenizer::encode_with_ranges(std::string_view text, bool add_special_tokens) const {
  Encoding encoding;
  encode_into(state_->pipeline, text, add_special_tokens, encoding.ids, &encoding.ranges);
  return encoding;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    if (const auto added = state_->added_by_id.find(id); added != state_->added_by_id.end()) {
      if (!skip_special_tokens || !added->second.skipped) tokens.push_back(added->second.text);
    } else if (const auto text = state_->pipeline.model->text_of(id)) {
      tokens.emplace_back(*text);
    }
  }
  const auto& decoders = state_->pipeline.decoders;
  if (decoders)
    for (const auto& decoder : *decoders) decoder->apply(tokens);
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!decoders && i > 0) out += ' ';
    out += tokens[i];
  }
  return out;
}

std::size_t Tokenizer::vocab_size() const {
  return state_->vocab_size;
}

std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  if (const auto added = state_->added_by_content.find(token); added != state_->added_by_content.end())
    return added->second;
  const TokenId id = state_->pipeline.model->tokens().find(token);
  if (id < 0) return std::nullopt;
  return id;
}

std::optional<std::string> Tokenizer::id_to_token(TokenId id) const {
  if (const auto added = state_->added_by_id.find(id); added != state_->added_by_id.end()) return added->second.text;
  const auto text = state_->pipeline.model->text_of(id);
  if (!text) return std::nullopt;
  return std::string(*text);
}

const std::optional<std::string>& Tokenizer::bos_token() const {
  return state_->config.bos_token;
}
const std::optional<std::string>& Tokenizer::eos_token() const {
  return state_->config.eos_token;
}
const std::optional<std::string>& Tokenizer::pad_token() const {
  return state_->config.pad_token;
}
const std::optional<std::string>& Tokenizer::unk_token() const {
  return state_->config.unk_token;
}
const std::optional<std::string>& Tokenizer::chat_template() const {
  return state_->config.chat_template;
}

std::optional<TokenId> Tokenizer::bos_id() const {
  return state_->config.bos_token ? token_to_id(*state_->config.bos_token) : std::nullopt;
}

std::optional<TokenId> Tokenizer::eos_id() const {
  return state_->config.eos_token ? token_to_id(*state_->config.eos_token) : std::nullopt;
}

}  // namespace cadre::tokenizer
