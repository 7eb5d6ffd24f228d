#include "trainer/run/tuned_model.h"

#include <filesystem>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/adapter/targets.h"
#include "trainer/model/stored_tensor.h"
#include "trainer/model_folder/writer.h"
#include "trainer/run/preparation.h"

namespace cadre::run {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;

// What the adapter in `folder` says it is for.
fs::path base_of_adapter(const fs::path& folder) {
  const fs::path file = folder / "adapter_config.json";
  return adapter_folder::parse_adapter_config(runtime::read_file(file, kMaxConfigBytes), file.string())
      .base_model_name_or_path;
}

}  // namespace

tokenizer::Tokenizer TunedModel::load_tokenizer() const {
  return tokenizer::Tokenizer::load(path);
}

TunedModel open_tuned_model(const fs::path& path, const TunedModelOptions& options) {
  if (!fs::is_directory(path)) throw runtime::UserError(path.string() + ": expected a model or run folder, found none");
  const bool is_adapter = fs::exists(path / "adapter_config.json");
  if (is_adapter && !options.adapter.empty()) {
    throw runtime::UserError("--adapter: " + path.string() +
                             " is an adapter folder itself; name its base model instead");
  }
  const fs::path adapter = is_adapter ? path : fs::path(options.adapter);
  fs::path base = path;
  if (is_adapter) {
    base = options.base_model;
    if (base.empty()) base = base_of_adapter(path);
    if (!fs::is_directory(base)) {
      throw runtime::UserError(path.string() + ": its base model '" + base.string() +
                               "' is not a folder here; name it with --base_model");
    }
  }
  TunedModel model;
  model.base = std::make_unique<model_folder::Folder>(model_folder::Folder::open(base));
  model.path = fs::exists(path / "tokenizer.json") ? path : base;
  model::Trained trained;
  if (!adapter.empty()) {
    model.adapter.emplace(adapter_folder::AdapterFolder::open(adapter, model.base->spec()));
    trained = adapter::trained_by(model.adapter->config(), model.base->spec());
  }
  config::Config config;
  if (options.dtype == "bfloat16" || options.dtype == "float32") {
    config.bf16 = options.dtype == "bfloat16" ? "true" : "false";
  } else if (options.dtype != "auto") {
    throw runtime::UserError("--dtype: expected auto, float32 or bfloat16, found '" + options.dtype + "'");
  }
  model.decoder = std::make_unique<model::Decoder>(model.base->spec(), model::source_of(*model.base),
                                                   compute_dtype(config, model.base->spec()), trained);
  if (model.adapter) adapter::load_adapter(*model.adapter, model.decoder->parameters());
  return model;
}

void write_merged(const TunedModel& model, const fs::path& output) {
  std::vector<safetensors::PlannedTensor> planned;
  for (const auto& [name, shape] : model_folder::expected_tensors(model.base->spec())) {
    planned.push_back({name, model.base->tensor(name).dtype, shape});
  }
  at::Tensor held;
  const auto bytes_of = [&](const safetensors::PlannedTensor& tensor) {
    held.reset();  // before the next one is made
    held = model.decoder->merged_tensor(tensor.name).to(model::scalar_type_of(tensor.dtype)).contiguous();
    return model::view_of(held).bytes;
  };
  fs::create_directories(output);
  model_folder::write_model_folder(output, *model.base, {std::move(planned), bytes_of});
}

}  // namespace cadre::run
