#include "trainer/run/load_decoder.h"

#include "trainer/adapter/initialise.h"
#include "trainer/adapter/peft.h"
#include "trainer/model/stored_tensor.h"

namespace cadre::run {

std::unique_ptr<model::Decoder> load_decoder(const Base& base, const config::Config& config) {
  const model_folder::ModelSpec& spec = base.folder.spec();
  const auto seed = static_cast<std::uint64_t>(config.seed);
  auto decoder = std::make_unique<model::Decoder>(
      spec, config.init_from_config ? model::random_source(spec, seed) : model::source_of(base.folder), base.compute,
      base.trained);
  if (base.start) {
    adapter::load_adapter(*base.start, decoder->parameters());
  } else if (base.adapter) {
    adapter::initialise_adapter(decoder->parameters(), config.init_lora_weights, seed);
  }
  return decoder;
}

}  // namespace cadre::run
