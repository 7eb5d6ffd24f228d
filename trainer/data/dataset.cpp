#include "trainer/data/dataset.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "runtime/error.h"
#include "runtime/sha256.h"
#include "trainer/data/encode_rows.h"
#include "trainer/data/prepared_cache.h"
#include "trainer/data/prepared_key.h"
#include "trainer/data/row_encoder.h"
#include "trainer/data/row_reader.h"
#include "trainer/data/validation_split.h"

namespace cadre::data {
namespace {

static_assert(std::endian::native == std::endian::little, "content hashes are of little-endian bytes");

ExcessLength excess_length_of(const std::string& name) {
  if (name == "drop") return ExcessLength::kDrop;
  if (name == "truncate") return ExcessLength::kTruncate;
  if (name == "raise") return ExcessLength::kRaise;
  throw runtime::UserError("excess_length_strategy: expected drop, truncate or raise, found " + excerpt(name));
}

// A row attends to itself alone, packed or not: it is too long past the model's positions too.
EncodeLimits limits_of(const config::Config& config, const PrepareOptions& options) {
  EncodeLimits limits{.longest = config.sequence_len,
                      .longest_is = "sequence_len",
                      .excess = excess_length_of(config.excess_length_strategy),
                      .vocab_size = options.vocab_size,
                      .threads = options.threads,
                      .check = options.check};
  if (options.max_position_embeddings > 0 && options.max_position_embeddings < limits.longest) {
    limits.longest = options.max_position_embeddings;
    limits.longest_is = "the model's max_position_embeddings";
  }
  if (limits.longest < 2)
    throw runtime::UserError(runtime::say("sequence_len: expected at least 2, found ", config.sequence_len));
  return limits;
}

void add(PrepareReport& sum, const PrepareReport& report) {
  sum.rows_read += report.rows_read;
  sum.rows_kept += report.rows_kept;
  sum.dropped_too_long += report.dropped_too_long;
  sum.truncated += report.truncated;
  sum.dropped_untrained += report.dropped_untrained;
  sum.tokens += report.tokens;
  sum.trained_tokens += report.trained_tokens;
}

struct Source {
  const config::DatasetConfig* dataset;
  FileFormat format;
  std::unique_ptr<RowEncoder> encoder;
};

// Checks all that can be checked before a row is read: types, formats, templates.
std::vector<Source> open_sources(const std::vector<config::DatasetConfig>& datasets, const config::Config& config,
                                 const tokenizer::Tokenizer* tokenizer, const PrepareOptions& options) {
  std::vector<Source> sources;
  for (const auto& dataset : datasets)
    sources.push_back({&dataset, format_of(dataset.path, dataset.format),
                       make_encoder({.config = config,
                                     .dataset = dataset,
                                     .tokenizer = tokenizer,
                                     .date = options.chat_template_date,
                                     .vocab_size = options.vocab_size})});
  return sources;
}

void encode_sources(const std::vector<Source>& sources, EncodeLimits limits, Dataset& dataset, PrepareReport& report,
                    std::vector<std::string>& warnings) {
  for (const Source& source : sources) {
    limits.skip = source.dataset->skip;
    limits.take = source.dataset->limit;
    const auto rows = open_rows(source.dataset->path, source.format);
    const EncodeCounts counts = encode_rows(*rows, *source.encoder, limits, source.dataset->path, dataset);
    add(report, counts.report);
    if (counts.turn_end_missing > 0)
      warnings.push_back(runtime::say(
          source.dataset->path, ": in ", counts.turn_end_missing, " of ", counts.report.rows_read,
          " rows no known token ends an answer, so the model will not learn to stop there; set eot_tokens"));
  }
}

void expect_rows(const PrepareReport& report, const EncodeLimits& limits, const char* key) {
  if (report.rows_kept > 0) return;
  throw runtime::UserError(runtime::say(key, ": no row is left of ", report.rows_read,
                                        " read: ", report.dropped_too_long, " longer than ", limits.longest,
                                        " tokens (", limits.longest_is, "), ", report.dropped_untrained,
                                        " without a trained token; raise the limit or look at the data"));
}

void append_row(const Dataset& from, std::size_t row, Dataset& to, PrepareReport& report) {
  const auto ids = from.ids_of(row);
  const auto labels = from.labels_of(row);
  to.input_ids.insert(to.input_ids.end(), ids.begin(), ids.end());
  to.labels.insert(to.labels.end(), labels.begin(), labels.end());
  to.offsets.push_back(to.input_ids.size());
  ++report.rows_read;
  ++report.rows_kept;
  report.tokens += ids.size();
  report.trained_tokens += static_cast<std::uint64_t>(
      std::count_if(labels.begin(), labels.end(), [](auto label) { return label != kIgnored; }));
}

// Moves the rows held out from train to validation; both keep the order of the files.
void split(Prepared& prepared, double size, std::uint64_t seed) {
  const auto held_out = validation_rows(prepared.train.rows(), size, seed);
  Dataset train;
  PrepareReport validation_report, train_report;
  for (std::size_t row = 0; row < held_out.size(); ++row)
    append_row(prepared.train, row, held_out[row] ? prepared.validation : train,
               held_out[row] ? validation_report : train_report);
  prepared.train = std::move(train);
  prepared.validation_report = validation_report;
  prepared.train_report.rows_read -= validation_report.rows_read;
  prepared.train_report.rows_kept = train_report.rows_kept;
  prepared.train_report.tokens = train_report.tokens;
  prepared.train_report.trained_tokens = train_report.trained_tokens;
}

Prepared make(const config::Config& config, const tokenizer::Tokenizer* tokenizer, const PrepareOptions& options) {
  const EncodeLimits limits = limits_of(config, options);
  const auto train = open_sources(config.datasets, config, tokenizer, options);
  const auto validation = open_sources(config.test_datasets, config, tokenizer, options);
  Prepared prepared;
  encode_sources(train, limits, prepared.train, prepared.train_report, prepared.warnings);
  expect_rows(prepared.train_report, limits, "datasets");
  if (!validation.empty()) {
    encode_sources(validation, limits, prepared.validation, prepared.validation_report, prepared.warnings);
    expect_rows(prepared.validation_report, limits, "test_datasets");
  } else if (config.val_set_size > 0) {
    split(prepared, config.val_set_size, static_cast<std::uint64_t>(config.seed));
  }
  prepared.train.sha256 = content_sha256(prepared.train);
  prepared.validation.sha256 = content_sha256(prepared.validation);
  return prepared;
}

}  // namespace

std::string content_sha256(const Dataset& dataset) {
  runtime::Sha256 sha;
  sha.update(runtime::say("rows ", dataset.rows(), " tokens ", dataset.input_ids.size(), "\n"));
  sha.update(std::as_bytes(std::span(dataset.input_ids)));
  sha.update(std::as_bytes(std::span(dataset.labels)));
  sha.update(std::as_bytes(std::span(dataset.offsets)));
  return sha.hex();
}

Prepared prepare(const config::Config& config, const tokenizer::Tokenizer* tokenizer, const PrepareOptions& options) {
  if (config.datasets.empty()) throw runtime::UserError("datasets: expected at least one, found none");
  if (!config.test_datasets.empty() && config.val_set_size > 0)
    throw runtime::UserError("val_set_size and test_datasets are both set; keep one");
  const auto sources = hash_sources(config);
  std::string key, warning;
  if (!config.dataset_prepared_path.empty()) {
    key = prepared_key(config, tokenizer, options, sources);
    if (auto found = load_prepared(config.dataset_prepared_path, key, warning)) return std::move(*found);
  }
  Prepared prepared = make(config, tokenizer, options);
  for (const SourceFile& source : sources) {
    expect_unchanged(source);
    prepared.source_sha256.push_back(source.sha256);
  }
  if (!key.empty()) {
    try {
      save_prepared(config.dataset_prepared_path, key, prepared);
      prepared.cache_key = key;
    } catch (const std::runtime_error& error) {
      prepared.warnings.push_back(runtime::say("the prepared data was not kept: ", error.what()));
    }
  }
  if (!warning.empty()) prepared.warnings.push_back(warning);
  return prepared;
}

}  // namespace cadre::data
