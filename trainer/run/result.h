// Writing what was trained where users and other programs look for it, and proving that it can be read back.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "trainer/run/preparation.h"

namespace cadre::run {

// Rounds the trained parameters to the dtype they are saved in, so that memory and disk agree from here on.
void round_to_saved_dtype(const Base& base, const config::Config& config, model::Decoder& decoder);

// Called after each tensor and file.
using OnProgress = std::function<void()>;

// Writes adapter_model.safetensors and adapter_config.json, or for full fine-tuning a model folder's files, and the
// base's tokenizer files. Returns each file's sha256 by name. RunError when the disk refuses.
std::map<std::string, std::string> write_result(const std::filesystem::path& folder, const Base& base,
                                                const config::Config& config, const model::Decoder& decoder,
                                                const OnProgress& progressed);

// Reads the result again from disk into the decoder and compares its logits on held rows with those of what was in
// memory: equal to the bit, or RunError. The decoder holds what was read afterwards.
void verify_result(const std::filesystem::path& folder, const Base& base, const data::Dataset& held_rows,
                   model::Decoder& decoder, const OnProgress& progressed);

}  // namespace cadre::run
