// From a row to token ids and labels, by the dataset's `type`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/data/row_reader.h"
#include "trainer/tokenizer/tokenizer.h"

namespace cadre::data {

// As many labels as ids; a label is its id, or kIgnored.
struct EncodedRow {
  std::vector<std::int32_t> ids, labels;
  bool turn_end_missing = false;  // chat: no known token ends a trained turn, so nothing teaches the model to stop
};

// Immutable: any number of threads may use one.
class RowEncoder {
 public:
  virtual ~RowEncoder() = default;
  // UserError without the row's place, which the caller adds.
  virtual EncodedRow encode(const boost::json::object& fields) const = 0;
};

struct EncoderOptions {
  const config::Config& config;
  const config::DatasetConfig& dataset;
  const tokenizer::Tokenizer* tokenizer;  // may be null for `tokenized`
  std::string date = {};                  // what a template's strftime_now sees, YYYY-MM-DD
  std::int64_t vocab_size = 0;            // 0: ids are not bounded
};

// Everything that `options` refers to outlives the encoder. UserError: unknown type, no tokenizer or no EOS where the
// type needs one, a malformed format or template.
std::unique_ptr<RowEncoder> make_encoder(const EncoderOptions& options);

// The template that a chat_template dataset renders with, as text. UserError: the tokenizer has none, no such file.
std::string template_text(const EncoderOptions& options);

// In separate files by kind; what make_encoder chooses from.
std::unique_ptr<RowEncoder> make_alpaca_encoder(const EncoderOptions& options);
std::unique_ptr<RowEncoder> make_completion_encoder(const EncoderOptions& options);
std::unique_ptr<RowEncoder> make_input_output_encoder(const EncoderOptions& options);
std::unique_ptr<RowEncoder> make_chat_encoder(const EncoderOptions& options);
std::unique_ptr<RowEncoder> make_tokenized_encoder(const EncoderOptions& options);

}  // namespace cadre::data
