// Tokenized rows: what training and evaluation read, whatever format they came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/tokenizer/tokenizer.h"

namespace cadre::data {

inline constexpr std::int32_t kIgnored = -100;  // a label that is not trained, as Hugging Face marks it

// Rows in flat storage. labels[i] is the id at position i where it is trained, kIgnored where not; position 0 of a row
// is never a target (nothing predicts it).
struct Dataset {
  std::vector<std::int32_t> input_ids, labels;
  std::vector<std::uint64_t> offsets{0};  // rows + 1
  std::string sha256;                     // of ids, labels and offsets

  std::size_t rows() const { return offsets.size() - 1; }
  std::size_t length(std::size_t row) const { return offsets[row + 1] - offsets[row]; }
  std::span<const std::int32_t> ids_of(std::size_t row) const { return {input_ids.data() + offsets[row], length(row)}; }
  std::span<const std::int32_t> labels_of(std::size_t row) const { return {labels.data() + offsets[row], length(row)}; }
};

// What became of the rows that were read; shown at the start of a run.
struct PrepareReport {
  std::uint64_t rows_read = 0, rows_kept = 0, dropped_too_long = 0, truncated = 0, dropped_untrained = 0;
  std::uint64_t tokens = 0, trained_tokens = 0;
  bool from_cache = false;
};

struct Prepared {
  Dataset train, validation;  // validation: test_datasets, or the val_set_size split; may be empty
  PrepareReport train_report, validation_report;
  std::vector<std::string> source_sha256;  // of each dataset file, train then validation
  std::string cache_key;                   // of its entry in the prepared cache; empty: it has none
  std::vector<std::string> warnings;       // one line each, for the user: a damaged cache, turns whose end is unknown
};

struct PrepareOptions {
  std::string chat_template_date;  // resolved, YYYY-MM-DD
  int threads = 1;
  std::int64_t vocab_size = 0;  // of the model: an id at or beyond it is an error
  std::int64_t max_position_embeddings = 0;
  std::function<void()> check = [] {};  // now and then; what it throws ends the work
};

// What Dataset::sha256 must be.
std::string content_sha256(const Dataset& dataset);

// Reads, renders, tokenizes, masks, drops or cuts. `tokenizer` may be null when every dataset is `tokenized`.
// Uses and fills the cache under config.dataset_prepared_path where that is set (keyed by the content of sources,
// tokenizer, template and the keys that matter; written whole or not at all; verified when read).
// UserError: `file:row: …`.
Prepared prepare(const config::Config& config, const tokenizer::Tokenizer* tokenizer, const PrepareOptions& options);

}  // namespace cadre::data
