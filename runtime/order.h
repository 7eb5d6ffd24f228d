// What the coordinator tells the members of a view to do next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/micro_batches.h"

namespace cadre::runtime {

// One member's part of a step. `held` are nodes of the tree that it has from before a view change; `compute` it
// computes.
struct Share {
  std::vector<Range> held = {}, compute = {};

  bool operator==(const Share&) const = default;
};

// In Order::checkpoint: no folder, but what the parameters were before the first step.
inline constexpr char kSeededStart[] = "start";

struct Order {
  enum class Kind : std::uint8_t {
    kTrain,        // compute update `step` and vote
    kEvaluate,     // validation loss of the parameters after `step` updates
    kWriteResult,  // View::writer() writes and verifies the result
    kWait,         // nothing but the snapshot; another order follows
    kEnd,          // leave, whatever is in hand and whatever the stamp
  };
  Kind kind = Kind::kTrain;
  std::uint64_t step = 0;          // updates committed so far
  bool snapshot = false;           // write a checkpoint of the state after `step` updates, in the background
  bool must_save = false;          // that checkpoint is needed: it waits for a disk that is slow
  bool audit = false;              // kTrain: copies differ. Compute all anew, and vote chunk by chunk
  std::vector<Share> shares = {};  // one a member of the view; empty: even_shares()
  std::string checkpoint = {};     // kWriteResult: folder of the checkpoint to take parameters from; empty: the current
  std::string reason = {};         // kEnd: why; kWriteResult: which step's parameters, in words

  bool operator==(const Order&) const = default;
};

// What each member contributes to a step of that many micro-batches: the nodes that it has, and those that its ranges
// make; in rounds each micro-batch by itself.
std::vector<std::vector<Range>> nodes_of(const Order& order, std::uint32_t micro_batches, const View& view,
                                         bool in_rounds);

}  // namespace cadre::runtime
