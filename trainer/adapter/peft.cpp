#include "trainer/adapter/peft.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/model/stored_tensor.h"
#include "trainer/safetensors/writer.h"

namespace cadre::adapter {
namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";

// The parameter whose value a saved name holds: of a tied embedding one tensor is trained and two names are saved.
const model::Parameter& parameter_of(const model::ParameterSpace& space, const std::string& saved_name) {
  if (const model::Parameter* parameter = space.find(saved_name)) return *parameter;
  const model::Parameter* tied = saved_name == adapter_folder::saved_whole("lm_head")
                                     ? space.find(adapter_folder::saved_whole("embed_tokens"))
                                     : nullptr;
  CADRE_CHECK(tied != nullptr, "no parameter for ", saved_name);
  return *tied;
}

}  // namespace

void load_adapter(const adapter_folder::AdapterFolder& folder, model::ParameterSpace& space) {
  for (const model::Parameter& parameter : space.parameters()) {
    space.value_of(parameter).copy_(model::tensor_of(folder.tensor(parameter.name)));
  }
}

std::vector<std::string> write_adapter(const std::filesystem::path& folder, const adapter_folder::AdapterConfig& config,
                                       const model::ParameterSpace& space, const model_folder::ModelSpec& spec,
                                       at::ScalarType dtype) {
  const std::vector<adapter_folder::Target> targets = adapter_folder::resolve_targets(spec, config);
  const adapter_folder::AdapterConfig saved = adapter_folder::saved_config(spec, config, targets);
  std::vector<at::Tensor> kept;
  std::vector<safetensors::NamedTensor> tensors;
  for (const auto& [name, shape] : adapter_folder::expected_tensors(spec, saved, targets)) {
    kept.push_back(space.value_of(parameter_of(space, name)).to(dtype).contiguous());
    tensors.push_back({name, model::view_of(kept.back())});
  }
  safetensors::write(folder / kTensorFile, tensors);
  runtime::write_file_atomically(folder / kConfigFile, adapter_folder::print_adapter_config(saved));
  return {kTensorFile, kConfigFile};
}

}  // namespace cadre::adapter
