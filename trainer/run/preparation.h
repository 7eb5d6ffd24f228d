// Everything that a run needs before its first step but its tensors.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "trainer/adapter_folder/adapter_folder.h"
#include "trainer/config/load.h"
#include "trainer/data/dataset.h"
#include "trainer/model/decoder.h"
#include "trainer/model_folder/folder.h"
#include "trainer/run/progress.h"
#include "trainer/tokenizer/tokenizer.h"

namespace cadre::run {

// The base, checked whole but not yet loaded: what can be wrong with it is found before anything is spent.
struct Base {
  model_folder::Folder folder;
  at::ScalarType compute = at::kFloat;
  model::Trained trained = {};
  std::optional<adapter_folder::AdapterConfig> adapter = {};  // of the result; none for full fine-tuning
  std::optional<adapter_folder::AdapterFolder> start = {};    // lora_model_dir
};

// UserError names what is wrong with base_model, lora_model_dir or the targets.
Base open_base(const config::Config& config);

// bf16: auto takes the base's own dtype.
at::ScalarType compute_dtype(const config::Config& config, const model_folder::ModelSpec& spec);

// Nothing where every dataset is already tokenized and the folder has none.
std::optional<tokenizer::Tokenizer> load_tokenizer(const config::Config& config);

// The run's rows as tokens; from the prepared cache where it is filled. `check` is called now and then, and what it
// throws ends the work.
data::Prepared prepare_data(
    const config::Config& config, const Base& base, const std::string& chat_template_date, int threads,
    const std::function<void()>& check = [] {});

}  // namespace cadre::run
