// Writing a Hugging Face model folder: weights in one file or in shards with an index, beside the base's configuration
// and tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/model_folder/folder.h"
#include "trainer/safetensors/writer.h"

namespace cadre::model_folder {

// Decimal, as Hugging Face counts.
inline constexpr std::uint64_t kMaxShardBytes = 5'000'000'000;

// Which tensors share a file, in name order: each file as full as the limit allows, a larger tensor alone. Pure.
std::vector<std::vector<std::size_t>> split_into_shards(const std::vector<std::uint64_t>& tensor_bytes,
                                                        std::uint64_t max_shard_bytes);

// What to write. Only one tensor's bytes are held at a time: `bytes_of` makes them when their turn comes.
struct ModelTensors {
  std::vector<safetensors::PlannedTensor> planned;
  safetensors::TensorBytes bytes_of;
};

// model.safetensors, or model-0000i-of-0000N.safetensors and model.safetensors.index.json; config.json as the base's,
// with its dtype that of the tensors; the base's tokenizer and generation files. Other weights that were there go. The
// index comes last, so that a folder without it is seen to be unfinished. Returns the names written. The folder is made
// if need be. UserError when it is the base's own; RunError when the disk refuses.
std::vector<std::string> write_model_folder(const std::filesystem::path& folder, const Folder& base,
                                            ModelTensors tensors, std::uint64_t max_shard_bytes = kMaxShardBytes);

// The tokenizer's files and the chat templates, byte for byte; those that are there. Returns their names.
std::vector<std::string> copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace cadre::model_folder
