#include "trainer/data/prepared_key.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <system_error>

#include "runtime/error.h"
#include "runtime/sha256.h"
#include "trainer/data/row_encoder.h"

namespace cadre::data {
namespace {

// Raised whenever the same inputs give other rows than before.
constexpr int kFormatVersion = 1;

constexpr const char* kTokenizerFiles[] = {
    "tokenizer.json",          "vocab.json",        "merges.txt",         "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"};

// A list that no two different inputs can spell alike: JSON.
boost::json::array describe(const config::DatasetConfig& dataset) {
  return {dataset.type, dataset.format, dataset.field, dataset.field_instruction, dataset.field_input,
          dataset.field_output, dataset.field_system, dataset.prompt_format, dataset.prompt_no_input_format,
          dataset.output_format, dataset.field_messages, dataset.message_field_role, dataset.message_field_content,
          dataset.field_tools, dataset.field_segments, dataset.limit, dataset.skip,
          // Without `format` the extension tells how the file is read.
          std::filesystem::path(dataset.path).extension().string()};
}

}  // namespace

std::vector<SourceFile> hash_sources(const config::Config& config) {
  std::vector<SourceFile> sources;
  for (const auto* list : {&config.datasets, &config.test_datasets})
    for (const auto& dataset : *list) {
      SourceFile source{.path = dataset.path, .bytes = 0, .changed = {}, .sha256 = {}};
      std::error_code error;
      if (std::filesystem::is_directory(source.path, error))
        throw runtime::UserError(dataset.path + ": expected a file of rows, found a folder; name the file in it");
      if (!std::filesystem::exists(source.path, error))
        throw runtime::UserError(dataset.path + ": no such file; `path` of a dataset names a file on this machine");
      source.bytes = std::filesystem::file_size(source.path, error);
      if (!error) source.changed = std::filesystem::last_write_time(source.path, error);
      if (error) throw runtime::UserError(dataset.path + ": cannot be read: " + error.message());
      source.sha256 = runtime::sha256_of_file(source.path);
      sources.push_back(std::move(source));
    }
  return sources;
}

void expect_unchanged(const SourceFile& source) {
  std::error_code error;
  if (std::filesystem::file_size(source.path, error) != source.bytes ||
      std::filesystem::last_write_time(source.path, error) != source.changed || error)
    throw runtime::UserError(source.path.string() + ": was changed while it was read; start again when it is complete");
}

std::string prepared_key(const config::Config& config, const tokenizer::Tokenizer* tokenizer,
                         const PrepareOptions& options, const std::vector<SourceFile>& sources) {
  boost::json::array all = {"cadre prepared rows",
                            kFormatVersion,
                            config.train_on_inputs,
                            config.train_on_eos,
                            boost::json::array(config.eot_tokens.begin(), config.eot_tokens.end()),
                            config.sequence_len,
                            options.max_position_embeddings,
                            config.excess_length_strategy,
                            config.val_set_size,
                            config.val_set_size > 0 ? config.seed : 0,
                            options.vocab_size,
                            config.datasets.size()};
  for (const SourceFile& source : sources) all.emplace_back(source.sha256);
  bool asks_date = false;
  for (const auto* list : {&config.datasets, &config.test_datasets})
    for (const auto& dataset : *list) {
      all.emplace_back(describe(dataset));
      if (dataset.type != "chat_template" || !tokenizer) continue;
      const std::string text =
          template_text({.config = config, .dataset = dataset, .tokenizer = tokenizer, .date = {}});
      asks_date = asks_date || text.find("strftime_now") != std::string::npos;
      all.emplace_back(text);
    }
  if (asks_date) all.emplace_back(options.chat_template_date);
  if (tokenizer) {
    all.emplace_back(tokenizer->vocab_size());
    for (const char* name : kTokenizerFiles) {
      const auto path = std::filesystem::path(config.base_model) / name;
      std::error_code error;
      all.emplace_back(std::filesystem::is_regular_file(path, error) ? runtime::sha256_of_file(path) : std::string());
    }
  }
  return runtime::sha256_hex(boost::json::serialize(all));
}

}  // namespace cadre::data
