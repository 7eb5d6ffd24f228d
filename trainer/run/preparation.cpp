#include "trainer/run/preparation.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/failpoints.h"
#include "trainer/adapter/targets.h"

namespace cadre::run {

at::ScalarType compute_dtype(const config::Config& config, const model_folder::ModelSpec& spec) {
  if (config.bf16 == "true") return at::kBFloat16;
  if (config.bf16 == "false") return at::kFloat;
  return spec.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

namespace {

// What is continued has its rank and scaling already: another value beside it is a misunderstanding.
void require_same_adapter(const config::Config& config, const adapter_folder::AdapterConfig& adapter) {
  const auto differs = [&](const char* key, const auto& asked, const auto& found) {
    throw runtime::UserError(runtime::say(key, ": ", asked, " contradicts ", config.lora_model_dir, ", which has ",
                                          found, "; remove ", key));
  };
  if (config.lora_r != 0 && config.lora_r != adapter.r) differs("lora_r", config.lora_r, adapter.r);
  if (config.lora_alpha != 0 && config.lora_alpha != adapter.lora_alpha) {
    differs("lora_alpha", config.lora_alpha, adapter.lora_alpha);
  }
  if (config.use_dora && !adapter.use_dora) differs("use_dora", "true", "false");
  if (config.use_rslora && !adapter.use_rslora) differs("use_rslora", "true", "false");
}

}  // namespace

Base open_base(const config::Config& config) {
  Base base{.folder = config.init_from_config
                          ? model_folder::Folder::open(config.base_model, model_folder::Weights::kNone)
                          : model_folder::Folder::open(config.base_model)};
  const model_folder::ModelSpec& spec = base.folder.spec();
  base.compute = compute_dtype(config, spec);
  if (config.adapter == "none") {
    base.trained.method = model::Trained::Method::kFull;
    return base;
  }
  if (!config.lora_model_dir.empty()) {
    base.start.emplace(adapter_folder::AdapterFolder::open(config.lora_model_dir, spec));
    base.adapter = base.start->config();
    require_same_adapter(config, *base.adapter);
  } else {
    base.adapter = adapter::config_of(config);
  }
  base.adapter->base_model_name_or_path = config.base_model;
  base.trained = adapter::trained_by(*base.adapter, spec);
  base.trained.loraplus_lr_ratio = config.loraplus_lr_ratio.value_or(1.0);
  return base;
}

std::optional<tokenizer::Tokenizer> load_tokenizer(const config::Config& config) {
  const auto tokenized = [](const config::DatasetConfig& dataset) { return dataset.type == "tokenized"; };
  const bool needed = !std::all_of(config.datasets.begin(), config.datasets.end(), tokenized) ||
                      !std::all_of(config.test_datasets.begin(), config.test_datasets.end(), tokenized);
  if (!needed) return std::nullopt;
  return tokenizer::Tokenizer::load(config.base_model);
}

data::Prepared prepare_data(const config::Config& config, const Base& base, const std::string& chat_template_date,
                            int threads, const std::function<void()>& check) {
  runtime::reach(runtime::Failpoint::kData, 0);
  const std::optional<tokenizer::Tokenizer> tokenizer = load_tokenizer(config);
  return data::prepare(config, tokenizer ? &*tokenizer : nullptr,
                       {.chat_template_date = chat_template_date,
                        .threads = threads,
                        .vocab_size = base.folder.spec().vocab_size,
                        .max_position_embeddings = base.folder.spec().max_position_embeddings,
                        .check = check});
}

}  // namespace cadre::run
