// The trained state in a checkpoint's safetensors shards, chunk by chunk: whoever wrote which, any number of ranks
// reads them all. Tensors: parameters.<chunk>, first_moment.<chunk>, second_moment.<chunk>.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/checkpoint_store.h"
#include "runtime/members.h"
#include "trainer/run/optimizer_shard.h"
#include "trainer/safetensors/writer.h"

namespace cadre::run {

// What one rank puts into a checkpoint: copies, so that training goes on meanwhile.
struct StateSnapshot {
  struct Chunk {
    std::vector<float> parameters, first_moment, second_moment;
  };
  std::map<std::uint64_t, Chunk> chunks;
};
StateSnapshot snapshot_of(OptimizerShard& optimizer, const std::vector<std::uint64_t>& chunks);

// Carries all that fences: a shard of a rank that was put out is never taken for another's.
std::string shard_name(const runtime::Stamp& stamp, runtime::Rank rank, std::uint32_t incarnation);

// A shard's bytes, in order.
void write_state(const safetensors::Sink& sink, const StateSnapshot& snapshot);

// Returns the shard's size and hash. RunError when the disk refuses.
runtime::Shard write_state_shard(const std::filesystem::path& folder, const std::string& name,
                                 const StateSnapshot& snapshot);

// Fills the flat space and the moments of the chunks that are held. UserError when the checkpoint is not of this space
// and optimizer.
void load_state(const std::filesystem::path& checkpoint, const runtime::Manifest& manifest,
                const model::ParameterSpace& space, OptimizerShard& optimizer);

// The parameters alone; for the best checkpoint.
void load_parameters(const std::filesystem::path& checkpoint, const runtime::Manifest& manifest,
                     const model::ParameterSpace& space);

// What the flat space holds and where: equal layouts can exchange checkpoints.
std::string layout_sha256(const model::ParameterSpace& space);

}  // namespace cadre::run
