// The trained state as a checkpoint's safetensors shard: the flat space and its optimizer moments.
#pragma once

#include <filesystem>
#include <string>

#include "trainer/model/parameter_space.h"
#include "trainer/run/optimizer_state.h"

namespace cadre::run {

inline constexpr const char* kSnapshotFile = "state-00001-of-00001.safetensors";

// RunError when the disk refuses.
void write_snapshot(const std::filesystem::path& file, const model::ParameterSpace& space, OptimizerState& optimizer);

// UserError when the shard is not of this space and optimizer.
void load_snapshot(const std::filesystem::path& file, model::ParameterSpace& space, OptimizerState& optimizer);

// The parameters alone; for the best checkpoint.
void load_parameters(const std::filesystem::path& file, model::ParameterSpace& space);

// What the flat space holds and where: equal layouts can exchange snapshots.
std::string layout_sha256(const model::ParameterSpace& space);

}  // namespace cadre::run
