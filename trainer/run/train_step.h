// One rank's part of one optimizer step: compute, exchange, vote, and after the commit apply and gather.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "comm/exact_reduction.h"
#include "runtime/messages.h"
#include "runtime/placement.h"
#include "trainer/run/interruption.h"
#include "trainer/run/rank_state.h"
#include "trainer/run/trace.h"

namespace cadre::run {

// What is the same for all steps of a view.
struct ViewParts {
  const runtime::View& view;
  const runtime::Placement& placement;
  const std::vector<std::uint32_t>& hosts;  // of the members, as runtime::host_numbers() has them
  comm::Communicator& communicator;
  const Interruption& interruption;
  std::uint32_t self = 0;  // position among the members
};

class TrainStep {
 public:
  // Both outlive it; no trace: nullptr.
  TrainStep(RankState& state, Trace* trace) : state_(state), trace_(trace) {}

  using Tell = std::function<void(runtime::MemberMessage)>;
  // Computes this member's share of `order` and takes part in the reduction. comm::CommError (Aborted) when the view
  // ends before; nodes that are complete are kept for the next one.
  void prepare(const runtime::Order& order, const ViewParts& parts, const Tell& tell);
  // After prepare(), and with the state of all chunks that this member is to hold.
  runtime::Prepared vote(const runtime::Order& order, const ViewParts& parts);

  // After the vote and the coordinator's word: updates what this rank holds. What others hold is then gathered.
  void apply(const runtime::Commit& commit);
  // From `holders`, by chunk, to all members or to `receivers`.
  void gather(const ViewParts& parts, const runtime::Placement& holders, const std::vector<bool>& receivers = {});
  // Of all parameters, after `step` updates: equal on all ranks.
  std::uint64_t parameters_digest(std::uint64_t step) const;

  // Forgets everything of the step in hand.
  void reset();

  // Nodes in hand, and what their leaves gave.
  std::vector<runtime::Range> held() const;
  std::vector<runtime::MicroBatchResult> results() const;
  std::uint64_t step() const { return step_; }

 private:
  bool is_fast() const { return state_.config.reduction == "fast"; }
  // What prepare() needs all along.
  struct Work;
  void compute_one(std::uint32_t micro_batch, const Work& work);
  // The gradient sum of a node of the tree; its chunks leave as the last backward pass completes them.
  void compute_node(runtime::Range node, const Work& work);
  void compute_last(runtime::Range node, const Work& work);
  // Of a node that is given up: its subtrees that are whole are nodes too.
  void keep_partials(std::uint32_t begin);
  // The same for `reduction: fast`, into rank_sum_; nothing leaves.
  void add_up(runtime::Range node, const Work& work);
  void exchange(const Work& work);
  std::span<const float> gradient() const;
  bool in_rounds() const { return state_.config.zero_stage >= 2; }

  RankState& state_;
  Trace* trace_;
  std::uint64_t step_ = 0;
  std::uint64_t trained_tokens_ = 0;
  std::chrono::steady_clock::time_point began_ = {};
  double compute_seconds_ = 0;
  std::map<std::uint32_t, std::pair<runtime::Range, std::vector<float>>> nodes_;  // by begin; in rounds none is kept
  comm::TreeSum sum_;                                                             // of the node that is being computed
  std::map<std::uint32_t, runtime::MicroBatchResult> results_;
  std::vector<float> rank_sum_;  // reduction: fast
  comm::ReducedChunks reduced_;
  // What the last vote said of each chunk that is held, should copies be found to differ; and on which step.
  std::vector<runtime::ChunkDigest> said_;
  std::uint64_t said_of_ = ~std::uint64_t{0};
};

}  // namespace cadre::run
