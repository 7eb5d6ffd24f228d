// What prepared rows were made from, as one name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/data/dataset.h"

namespace cadre::data {

// A dataset file as it was when it was hashed.
struct SourceFile {
  std::filesystem::path path;
  std::uintmax_t bytes = 0;
  std::filesystem::file_time_type changed;
  std::string sha256;
};

// Of each file of datasets, then of test_datasets. UserError: missing, a folder, unreadable.
std::vector<SourceFile> hash_sources(const config::Config& config);

// UserError where the file was changed since.
void expect_unchanged(const SourceFile& source);

// SHA-256 over everything that decides prepared rows: a format version, the sources, the tokenizer's files in
// base_model, the templates, the date where a template asks for it, and the configuration's keys.
std::string prepared_key(const config::Config& config, const tokenizer::Tokenizer* tokenizer,
                         const PrepareOptions& options, const std::vector<SourceFile>& sources);

}  // namespace cadre::data
