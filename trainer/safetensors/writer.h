// Writing safetensors: tensors of the widest dtype first, then by name, as Python's writer does, so that every tensor
// is aligned to its elements; metadata {"format": "pt"} plus what the caller adds. The file appears whole or not at all
// (temporary sibling, fsync, rename). The same input gives the same bytes. Nothing but the header is held in memory.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "trainer/safetensors/file.h"

namespace cadre::safetensors {

struct NamedTensor {
  std::string name;
  TensorView tensor;  // bytes must stay valid during the call
};

using Metadata = std::map<std::string, std::string>;

// RunError when the disk refuses.
void write(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
           const Metadata& metadata = {{"format", "pt"}});

// A tensor whose bytes are made when their turn comes.
struct PlannedTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;

  std::uint64_t bytes() const;
};

// The bytes of one tensor, valid until the next call; called once a tensor, in the file's order.
using TensorBytes = std::function<std::span<const std::byte>(const PlannedTensor&)>;

void write(const std::filesystem::path& path, std::vector<PlannedTensor> tensors, const TensorBytes& bytes_of,
           const Metadata& metadata = {{"format", "pt"}});

// The same bytes, in order, to wherever they go.
using Sink = std::function<void(std::span<const std::byte>)>;
void write_to(const Sink& sink, const std::vector<NamedTensor>& tensors, const Metadata& metadata = {{"format", "pt"}});

}  // namespace cadre::safetensors
