// config.json of a model, adapter_config.json and the index of shards: the first byte says which.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/error.h"
#include "trainer/adapter_folder/targets.h"
#include "trainer/model_folder/folder.h"
#include "trainer/model_folder/weight_index.h"

namespace {

void read_model(std::string_view text) {
  const auto spec = cadre::model_folder::parse_config(text, "", "input");
  for (const auto& [name, shape] : expected_tensors(spec)) {
    for (const std::int64_t size : shape) {
      if (size <= 0) std::abort();
    }
  }
  for (const auto& layer : spec.layers) {
    if (static_cast<std::size_t>(layer.rope) >= spec.ropes.size()) std::abort();
  }
}

void read_adapter(std::string_view text) {
  static const auto spec = cadre::model_folder::parse_config(
      R"({"model_type":"llama","vocab_size":9,"hidden_size":8,"intermediate_size":6,"num_hidden_layers":2,
          "num_attention_heads":2})",
      "", "model");
  const auto config = cadre::adapter_folder::parse_adapter_config(text, "input");
  const auto targets = resolve_targets(spec, config);
  // What is saved must mean the same.
  const auto saved = print_adapter_config(saved_config(spec, config, targets));
  if (resolve_targets(spec, cadre::adapter_folder::parse_adapter_config(saved, "saved")) != targets) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 3 == 0) read_model(text);
    if (data[0] % 3 == 1) read_adapter(text);
    if (data[0] % 3 == 2) cadre::model_folder::parse_weight_index(text, "input");
  } catch (const cadre::runtime::UserError&) {
  }
  return 0;
}
