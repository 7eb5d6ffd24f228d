// Rows of plain text: alpaca, completion, input_output. Prompt and answer are tokenized apart, so that no token
// straddles the border and the prompt is what it will be when the model is asked; the prompt gets the special tokens
// that the tokenizer's post-processor adds before a text (BOS), the answer none, and EOS ends it.

#include <boost/json/kind.hpp>
#include <optional>
#include <utility>

#include "runtime/error.h"
#include "trainer/data/dataset.h"
#include "trainer/data/prompt_format.h"
#include "trainer/data/row_encoder.h"
#include "trainer/data/row_fields.h"

namespace cadre::data {
namespace {

// The prompts that Alpaca's data set came with (Taori et al. 2023), as axolotl lays them out.
constexpr std::string_view kAlpacaSystem =
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.";
constexpr std::string_view kAlpacaSystemNoInput =
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.";
constexpr std::string_view kAlpacaFormat =
    "{system}\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n";
constexpr std::string_view kAlpacaFormatNoInput = "{system}\n\n### Instruction:\n{instruction}\n\n### Response:\n";

// How texts become ids for these types.
class TextTokens {
 public:
  explicit TextTokens(const EncoderOptions& options)
      : tokenizer_(*options.tokenizer), train_eos_(options.config.train_on_eos != "none") {
    if (!tokenizer_.eos_id())
      throw runtime::UserError("the tokenizer of " + options.config.base_model +
                               " names no eos_token, and rows of type " + options.dataset.type +
                               " end with it; add eos_token to tokenizer_config.json");
    eos_ = *tokenizer_.eos_id();
    // A post-processor that ends texts with EOS (or SEP) would end the prompt with it.
    const auto probe = tokenizer_.encode_with_ranges("a", true);
    while (added_after_ < probe.ids.size()) {
      const auto range = probe.ranges[probe.ranges.size() - 1 - added_after_];
      if (range.begin != range.end) break;
      ++added_after_;
    }
  }

  // With what the post-processor adds before a text, without what it adds after.
  void append_opening(EncodedRow& row, std::string_view text, bool trained) const {
    auto ids = tokenizer_.encode(text, true);
    if (ids.size() >= added_after_) ids.resize(ids.size() - added_after_);
    append(row, ids, trained);
  }
  // No special tokens but those that the text spells out.
  void append_plain(EncodedRow& row, std::string_view text, bool trained) const {
    append(row, tokenizer_.encode(text, false), trained);
  }
  // EOS, unless what was appended since `begin` ends with it already.
  void append_eos(EncodedRow& row, std::size_t begin) const {
    if (row.ids.size() > begin && row.ids.back() == eos_) {
      row.labels.back() = train_eos_ ? eos_ : kIgnored;
      return;
    }
    row.ids.push_back(eos_);
    row.labels.push_back(train_eos_ ? eos_ : kIgnored);
  }

  static void append(EncodedRow& row, const std::vector<tokenizer::TokenId>& ids, bool trained) {
    row.ids.insert(row.ids.end(), ids.begin(), ids.end());
    if (trained)
      row.labels.insert(row.labels.end(), ids.begin(), ids.end());
    else
      row.labels.insert(row.labels.end(), ids.size(), kIgnored);
  }

 private:
  const tokenizer::Tokenizer& tokenizer_;
  bool train_eos_;
  tokenizer::TokenId eos_ = 0;
  std::size_t added_after_ = 0;
};

class AlpacaEncoder final : public RowEncoder {
 public:
  explicit AlpacaEncoder(const EncoderOptions& options)
      : tokens_(options),
        train_on_inputs_(options.config.train_on_inputs),
        instruction_(name_or(options.dataset.field_instruction, "instruction")),
        input_(name_or(options.dataset.field_input, "input")),
        output_(name_or(options.dataset.field_output, "output")),
        system_(name_or(options.dataset.field_system, "system")) {
    const std::vector<std::string_view> places = {"instruction", "input", "system"};
    const auto& with = options.dataset.prompt_format;
    const auto& without = options.dataset.prompt_no_input_format;
    own_format_ = !with.empty() || !without.empty();
    if (!with.empty()) {
      format_.emplace(with, "prompt_format", places);
    } else if (!own_format_) {
      format_.emplace(kAlpacaFormat, "prompt_format", places);
    }
    if (!without.empty()) {
      format_no_input_.emplace(without, "prompt_no_input_format", places);
    } else if (!own_format_) {
      format_no_input_.emplace(kAlpacaFormatNoInput, "prompt_no_input_format", places);
    } else {
      format_no_input_ = format_;
    }
    if (!options.dataset.output_format.empty())
      output_format_.emplace(options.dataset.output_format, "output_format", std::vector<std::string_view>{"output"});
    if (output_format_ && !output_format_->uses("output"))
      throw runtime::UserError("datasets: output_format: expected {output} in it, found " +
                               excerpt(options.dataset.output_format));
  }

  EncodedRow encode(const boost::json::object& fields) const override {
    const std::string_view instruction = required_text(fields, instruction_);
    const std::string_view input = optional_text(fields, input_);
    std::string_view system = optional_text(fields, system_);
    const std::string_view output = required_text(fields, output_);
    if (!input.empty() && !format_)
      throw runtime::UserError("the field " + excerpt(input_) +
                               " has text, and only prompt_no_input_format is set; set prompt_format too");
    if (system.empty() && !own_format_) system = input.empty() ? kAlpacaSystemNoInput : kAlpacaSystem;
    const std::string prompt = (input.empty() ? *format_no_input_ : *format_)
                                   .fill({{"instruction", instruction}, {"input", input}, {"system", system}});
    EncodedRow row;
    tokens_.append_opening(row, prompt, train_on_inputs_);
    const std::size_t answer = row.ids.size();
    tokens_.append_plain(row, output_format_ ? output_format_->fill({{"output", output}}) : std::string(output), true);
    tokens_.append_eos(row, answer);
    return row;
  }

 private:
  TextTokens tokens_;
  bool train_on_inputs_;
  bool own_format_ = false;
  std::string instruction_, input_, output_, system_;
  std::optional<PromptFormat> format_, format_no_input_, output_format_;
};

class CompletionEncoder final : public RowEncoder {
 public:
  explicit CompletionEncoder(const EncoderOptions& options)
      : tokens_(options), field_(name_or(options.dataset.field, "text")) {}

  EncodedRow encode(const boost::json::object& fields) const override {
    EncodedRow row;
    tokens_.append_opening(row, required_text(fields, field_), true);
    tokens_.append_eos(row, 0);
    return row;
  }

 private:
  TextTokens tokens_;
  std::string field_;
};

// Segments exactly as the user wrote them: special tokens too are theirs to write.
class InputOutputEncoder final : public RowEncoder {
 public:
  explicit InputOutputEncoder(const EncoderOptions& options)
      : tokenizer_(*options.tokenizer),
        train_on_inputs_(options.config.train_on_inputs),
        field_(name_or(options.dataset.field_segments, "segments")) {}

  EncodedRow encode(const boost::json::object& fields) const override {
    EncodedRow row;
    for (const auto& segment : required_array(fields, field_)) {
      const auto* object = segment.if_object();
      const auto* label = object ? object->if_contains("label") : nullptr;
      const auto* text = object ? object->if_contains("text") : nullptr;
      if (!label || !label->is_bool() || !text || !text->is_string())
        throw runtime::UserError("the field " + excerpt(field_) +
                                 ": expected segments like {\"label\": true, \"text\": \"…\"}");
      TextTokens::append(row, tokenizer_.encode(text->get_string(), false), label->get_bool() || train_on_inputs_);
    }
    return row;
  }

 private:
  const tokenizer::Tokenizer& tokenizer_;
  bool train_on_inputs_;
  std::string field_;
};

}  // namespace

std::unique_ptr<RowEncoder> make_alpaca_encoder(const EncoderOptions& options) {
  return std::make_unique<AlpacaEncoder>(options);
}
std::unique_ptr<RowEncoder> make_completion_encoder(const EncoderOptions& options) {
  return std::make_unique<CompletionEncoder>(options);
}
std::unique_ptr<RowEncoder> make_input_output_encoder(const EncoderOptions& options) {
  return std::make_unique<InputOutputEncoder>(options);
}

}  // namespace cadre::data
