// A model as a user names it: a model folder, or a run or adapter folder whose adapter_config.json names its base.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "trainer/adapter/peft.h"
#include "trainer/model/decoder.h"
#include "trainer/model_folder/folder.h"
#include "trainer/tokenizer/tokenizer.h"

namespace cadre::run {

struct TunedModelOptions {
  std::string base_model;      // in place of what adapter_config.json names
  std::string adapter;         // an adapter folder on top of a model folder
  std::string dtype = "auto";  // auto (as stored) | float32 | bfloat16
};

struct TunedModel {
  std::unique_ptr<model_folder::Folder> base;
  std::optional<adapter_folder::AdapterFolder> adapter;
  std::unique_ptr<model::Decoder> decoder;
  std::filesystem::path path;  // where the tokenizer is: the folder named, else the base

  tokenizer::Tokenizer load_tokenizer() const;
};

// UserError for whatever is missing or malformed.
TunedModel open_tuned_model(const std::filesystem::path& path, const TunedModelOptions& options);

// Writes the model with its adapter merged in as a Hugging Face folder in the base's dtype.
void write_merged(const TunedModel& model, const std::filesystem::path& output);

}  // namespace cadre::run
