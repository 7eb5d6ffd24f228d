// Training without tensors: a chunk's parameters are one number, so is its optimizer state, so is its gradient, which
// depends on all parameters; sums of gradients depend on the tree's shape and on the order of its operands. Whoever
// loses, repeats or misplaces anything ends with other numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "runtime/micro_batches.h"
#include "runtime/workload.h"

namespace cadre::simulation {

struct ChunkState {
  std::uint64_t values = 0, moment = 0;
  bool operator==(const ChunkState&) const = default;
};

std::uint64_t mixed(std::uint64_t x);

ChunkState seeded_chunk(std::uint64_t chunk);
std::uint64_t digest_of(const std::vector<std::uint64_t>& values);

// Of one micro-batch.
std::uint64_t gradient_of(std::uint64_t step, std::uint32_t micro_batch, std::uint64_t chunk, std::uint64_t parameters);
double loss_of(std::uint64_t step, std::uint32_t micro_batch, std::uint64_t parameters);
inline constexpr std::uint64_t kTrainedTokens = 16;  // of each micro-batch
// Rows of the dataset; every row of an epoch is in one micro-batch of it.
std::vector<std::uint32_t> samples_of(const runtime::Workload& workload, std::uint64_t step, std::uint32_t micro_batch);

std::uint64_t added(std::uint64_t left, std::uint64_t right);
// Of the tree's node `range`, from the sums of nodes where there are any, else from its leaves.
using Known = std::function<const std::uint64_t*(runtime::Range)>;
std::uint64_t tree_sum(runtime::Range range, const Known& known);

double squares_of(std::uint64_t gradient);
std::uint64_t digest_of(std::uint64_t chunk, std::uint64_t gradient, const ChunkState& state);
void apply(std::uint64_t gradient, std::uint64_t step, double clip_scale, ChunkState& state);

double unit_loss(std::uint32_t unit, std::uint64_t parameters);

// What an undisturbed run has, computed without ranks or coordinator.
struct Trajectory {
  struct Point {
    std::vector<ChunkState> chunks = {};
    std::uint64_t parameters = 0;  // their digest
    double evaluation = 0;         // validation loss
    // Of the update that comes next.
    double loss = 0, grad_norm = 0, clip_scale = 1;
  };
  std::vector<Point> points = {};  // by updates done
};
Trajectory trajectory_of(const runtime::Workload& workload, double max_grad_norm);

}  // namespace cadre::simulation
