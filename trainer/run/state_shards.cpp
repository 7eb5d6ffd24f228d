#include "trainer/run/state_shards.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <span>

#include "runtime/error.h"
#include "runtime/sha256.h"
#include "trainer/safetensors/file.h"

namespace cadre::run {
namespace {

std::string tensor_name(const char* kind, std::uint64_t chunk) {
  char name[48];
  std::snprintf(name, sizeof name, "%s.%08llu", kind, static_cast<unsigned long long>(chunk));
  return name;
}

safetensors::NamedTensor tensor_of(const char* kind, std::uint64_t chunk, std::span<const float> values) {
  return {tensor_name(kind, chunk),
          {safetensors::Dtype::kF32, {static_cast<std::int64_t>(values.size())}, std::as_bytes(values)}};
}

std::vector<safetensors::NamedTensor> tensors_of(const StateSnapshot& snapshot) {
  std::vector<safetensors::NamedTensor> tensors;
  for (const auto& [chunk, state] : snapshot.chunks) {
    tensors.push_back(tensor_of("parameters", chunk, state.parameters));
    tensors.push_back(tensor_of("first_moment", chunk, state.first_moment));
    if (!state.second_moment.empty()) tensors.push_back(tensor_of("second_moment", chunk, state.second_moment));
  }
  return tensors;
}

// All shards of a checkpoint as one set of tensors, whole: what was damaged since it was written is not loaded.
class ShardSet {
 public:
  ShardSet(const std::filesystem::path& checkpoint, const runtime::Manifest& manifest) : checkpoint_(checkpoint) {
    for (const runtime::Shard& shard : manifest.shards) {
      if (const std::string found = runtime::sha256_of_file(checkpoint / shard.file); found != shard.sha256) {
        throw runtime::RunError(runtime::say((checkpoint / shard.file).string(), ": expected sha256 ", shard.sha256,
                                             ", found ", found, "; it was damaged after it was written"));
      }
      files_.push_back(std::make_unique<safetensors::File>(checkpoint / shard.file));
    }
  }

  void copy(const char* kind, std::uint64_t chunk, std::span<float> to) const {
    const std::string name = tensor_name(kind, chunk);
    for (const auto& file : files_) {
      const safetensors::TensorView* tensor = file->find(name);
      if (tensor == nullptr) continue;
      if (tensor->dtype != safetensors::Dtype::kF32 || tensor->bytes.size() != to.size_bytes()) break;
      std::memcpy(to.data(), tensor->bytes.data(), to.size_bytes());
      return;
    }
    throw runtime::UserError(runtime::say(checkpoint_.string(), ": expected ", name, " with ", to.size(),
                                          " fp32 values; it is of another configuration"));
  }

 private:
  std::filesystem::path checkpoint_;
  std::vector<std::unique_ptr<safetensors::File>> files_;
};

void copy_parameters(const ShardSet& shards, const model::ParameterSpace& space) {
  const runtime::ChunkSpace chunks{static_cast<std::uint64_t>(space.elements())};
  auto* values = static_cast<float*>(space.values().data_ptr());
  for (std::uint64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    const runtime::ChunkRange range = chunks.range(chunk);
    shards.copy("parameters", chunk, {values + range.begin, range.size()});
  }
}

}  // namespace

StateSnapshot snapshot_of(OptimizerShard& optimizer, const std::vector<std::uint64_t>& chunks) {
  StateSnapshot snapshot;
  for (const std::uint64_t chunk : chunks) {
    const std::span<const float> values = optimizer.values_of(chunk);
    const ChunkState& state = optimizer.states().at(chunk);
    snapshot.chunks[chunk] = {{values.begin(), values.end()}, state.first_moment, state.second_moment};
  }
  return snapshot;
}

std::string shard_name(const runtime::Stamp& stamp, runtime::Rank rank, std::uint32_t incarnation) {
  return runtime::say("state-generation-", stamp.generation, "-view-", stamp.view, "-rank-", rank, ".", incarnation,
                      ".safetensors");
}

void write_state(const safetensors::Sink& sink, const StateSnapshot& snapshot) {
  safetensors::write_to(sink, tensors_of(snapshot));
}

runtime::Shard write_state_shard(const std::filesystem::path& folder, const std::string& name,
                                 const StateSnapshot& snapshot) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw runtime::RunError(folder.string() + ": cannot be made: " + error.message());
  const std::filesystem::path file = folder / name;
  safetensors::write(file, tensors_of(snapshot));
  return {name, std::filesystem::file_size(file), runtime::sha256_of_file(file)};
}

void load_state(const std::filesystem::path& checkpoint, const runtime::Manifest& manifest,
                const model::ParameterSpace& space, OptimizerShard& optimizer) {
  const ShardSet shards(checkpoint, manifest);
  copy_parameters(shards, space);
  for (auto& [chunk, state] : optimizer.states()) {
    shards.copy("first_moment", chunk, state.first_moment);
    if (!state.second_moment.empty()) shards.copy("second_moment", chunk, state.second_moment);
  }
}

void load_parameters(const std::filesystem::path& checkpoint, const runtime::Manifest& manifest,
                     const model::ParameterSpace& space) {
  copy_parameters(ShardSet(checkpoint, manifest), space);
}

std::string layout_sha256(const model::ParameterSpace& space) {
  std::string text;
  for (const model::Parameter& parameter : space.parameters()) {
    text += parameter.name + ' ' + std::to_string(parameter.offset) + ' ' + std::to_string(parameter.elements()) + '\n';
  }
  return runtime::sha256_hex(text);
}

}  // namespace cadre::run
