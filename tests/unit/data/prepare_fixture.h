// A folder with a small tokenizer and a configuration, for tests of prepare().
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "tests/unit/data/small_tokenizer.h"
#include "trainer/data/dataset.h"

namespace cadre::data {

class PrepareFixture : public testing::Test {
 protected:
  PrepareFixture() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(test->test_suite_name()) + "." + test->name();
    for (char& c : name)
      if (c == '/') c = '_';
    folder_ = std::filesystem::temp_directory_path() / ("cadre_" + name + "_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    use({});
  }
  ~PrepareFixture() override { std::filesystem::remove_all(folder_); }

  void use(const SmallTokenizer& small) {
    small.write(folder_ / "model");
    tokenizer_.emplace(tokenizer::Tokenizer::load(folder_ / "model"));
    config_.base_model = folder_ / "model";
  }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  config::DatasetConfig& add(const std::string& type, const std::string& name, const std::string& text) {
    config_.datasets.push_back({});
    config_.datasets.back().path = write(name, text);
    config_.datasets.back().type = type;
    return config_.datasets.back();
  }

  Prepared run() { return prepare(config_, &*tokenizer_, options_); }

  // Every training row, trained tokens in brackets.
  std::vector<std::string> rows() {
    const Prepared prepared = run();
    std::vector<std::string> out;
    for (std::size_t row = 0; row < prepared.train.rows(); ++row) out.push_back(show(*tokenizer_, prepared.train, row));
    return out;
  }

  std::string error() {
    try {
      run();
    } catch (const runtime::UserError& error) {
      return error.what();
    }
    return "accepted";
  }

  std::filesystem::path folder_;
  config::Config config_;
  std::optional<tokenizer::Tokenizer> tokenizer_;
  PrepareOptions options_{.chat_template_date = "2026-01-02"};
};

}  // namespace cadre::data
