#include "tests/unit/runtime/simulation/toy_training.h"

#include <bit>
#include <cmath>
#include <map>

#include "runtime/chunks.h"
#include "runtime/step_votes.h"

namespace cadre::simulation {
namespace {

// Of 20 bits: sums are exact, whether the compiler makes a fused multiply-add of them or not.
double fraction(std::uint64_t x) {
  return static_cast<double>(mixed(x) >> 44) / 1048576.0;
}

}  // namespace

std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

ChunkState seeded_chunk(std::uint64_t chunk) {
  return {mixed(chunk + 1), 0};
}

std::uint64_t digest_of(const std::vector<std::uint64_t>& values) {
  std::uint64_t digest = 0;
  for (const std::uint64_t value : values) digest = mixed(digest ^ value);
  return digest;
}

std::uint64_t gradient_of(std::uint64_t step, std::uint32_t micro_batch, std::uint64_t chunk,
                          std::uint64_t parameters) {
  return mixed(mixed(mixed(parameters + step) + micro_batch) + chunk);
}

double loss_of(std::uint64_t step, std::uint32_t micro_batch, std::uint64_t parameters) {
  return 32 * fraction(mixed(parameters + step) ^ micro_batch);
}

std::vector<std::uint32_t> samples_of(const runtime::Workload& workload, std::uint64_t step,
                                      std::uint32_t micro_batch) {
  std::uint64_t first = 0;
  std::size_t epoch = 0;
  for (; step - first >= workload.epochs.at(epoch).steps; ++epoch) first += workload.epochs[epoch].steps;
  const std::uint64_t row = (step - first) * workload.epochs[epoch].micro_batches + micro_batch;
  return {static_cast<std::uint32_t>(2 * row), static_cast<std::uint32_t>(2 * row + 1)};
}

std::uint64_t added(std::uint64_t left, std::uint64_t right) {
  return mixed(left) + 3 * right;
}

std::uint64_t tree_sum(runtime::Range range, const Known& known) {
  if (const std::uint64_t* sum = known(range)) return *sum;
  CADRE_CHECK(range.size() > 1, "nobody has micro-batch ", range.begin);
  const std::uint32_t middle = range.begin + runtime::split_of(range.size());
  return added(tree_sum({range.begin, middle}, known), tree_sum({middle, range.end}, known));
}

double squares_of(std::uint64_t gradient) {
  return fraction(~gradient);
}

std::uint64_t digest_of(std::uint64_t chunk, std::uint64_t gradient, const ChunkState& state) {
  return mixed(mixed(mixed(chunk + gradient) + state.values) + state.moment);
}

void apply(std::uint64_t gradient, std::uint64_t step, double clip_scale, ChunkState& state) {
  state.moment = mixed(state.moment + gradient);
  state.values = mixed(state.values + state.moment + step * 7 + std::bit_cast<std::uint64_t>(clip_scale));
}

double unit_loss(std::uint32_t unit, std::uint64_t parameters) {
  return 8 * fraction(parameters + unit);
}

Trajectory trajectory_of(const runtime::Workload& workload, double max_grad_norm) {
  const std::uint64_t chunks = runtime::ChunkSpace{workload.elements}.count();
  Trajectory trajectory;
  Trajectory::Point point;
  for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) point.chunks.push_back(seeded_chunk(chunk));
  for (std::uint64_t step = 0;; ++step) {
    std::vector<std::uint64_t> values;
    for (const ChunkState& chunk : point.chunks) values.push_back(chunk.values);
    point.parameters = digest_of(values);
    point.evaluation = 0;
    for (std::uint32_t unit = 0; unit < workload.evaluation_units; ++unit) {
      point.evaluation += unit_loss(unit, point.parameters);
    }
    if (workload.evaluation_units > 0) {
      point.evaluation /= static_cast<double>(workload.evaluation_units * kTrainedTokens);
    }
    if (step == workload.total_steps) {
      trajectory.points.push_back(point);
      return trajectory;
    }
    const std::uint32_t count = workload.micro_batches_of(step);
    point.loss = 0;
    for (std::uint32_t m = 0; m < count; ++m) point.loss += loss_of(step, m, point.parameters);
    point.loss /= static_cast<double>(count * kTrainedTokens);
    std::vector<std::uint64_t> gradients;
    double squares = 0;
    for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
      std::map<std::uint32_t, std::uint64_t> leaves;
      gradients.push_back(tree_sum({0, count}, [&](runtime::Range range) -> const std::uint64_t* {
        if (range.size() > 1) return nullptr;
        return &leaves.emplace(range.begin, gradient_of(step, range.begin, chunk, point.parameters)).first->second;
      }));
      squares += squares_of(gradients.back());
    }
    point.grad_norm = std::sqrt(squares);
    point.clip_scale = runtime::clip_scale_of(point.grad_norm, max_grad_norm);
    trajectory.points.push_back(point);
    for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
      apply(gradients[chunk], step, point.clip_scale, point.chunks[chunk]);
    }
  }
}

}  // namespace cadre::simulation
