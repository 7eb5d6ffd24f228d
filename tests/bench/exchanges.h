// Two ways to give every rank the sum of what each has, over the same communicator: without regard to the order in
// which micro-batches are added, and with. Both leave it in `result`, and tell when each part's sum was at its owner.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "runtime/chunks.h"
#include "runtime/members.h"
#include "runtime/micro_batches.h"
#include "runtime/placement.h"

namespace cadre::bench {

struct Milliseconds {
  double reduce = 0, all = 0;
};

// Each rank adds its part of all ranks' contributions, and gives the sum to all.
class PlainExchange {
 public:
  PlainExchange(comm::Communicator& communicator, std::span<const float> contribution, std::span<float> result);
  Milliseconds run();

 private:
  comm::Communicator& communicator_;
  std::span<const float> contribution_;
  std::span<float> result_;
  std::vector<float> inbox_;  // [rank]: its contribution to this rank's part
};

// As a training step does it (trainer/run/train_step.h), with one copy of the state.
class ExactExchange {
 public:
  // `result` has whole chunks, but for the last one.
  ExactExchange(comm::Communicator& communicator, const runtime::View& view, std::uint32_t micro_batches,
                std::span<float> result);

  std::size_t own_nodes() const { return nodes_[static_cast<std::size_t>(communicator_.rank())].size(); }
  // [own node]: its sum over the whole space.
  Milliseconds run(std::span<const std::vector<float>> contributions);

  std::uint32_t micro_batches() const { return micro_batches_; }
  std::vector<std::size_t> nodes_by_rank() const;
  // What all ranks send until the sums are at their owners, as a multiple of what they do in a plain exchange.
  double bytes_factor() const;

 private:
  comm::Communicator& communicator_;
  std::uint32_t micro_batches_;
  std::span<float> result_;
  runtime::ChunkSpace chunks_;
  runtime::Placement placement_;
  std::vector<std::vector<runtime::Range>> nodes_;  // [rank]
};

// The number of micro-batches, up to four a rank, for which the ranks have the most nodes of the tree.
std::uint32_t worst_micro_batches(const runtime::View& view);

}  // namespace cadre::bench
