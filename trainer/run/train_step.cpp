#include "trainer/run/train_step.h"

#include <chrono>

#include "comm/all_gather.h"
#include "runtime/digest.h"
#include "runtime/error.h"

namespace cadre::run {
namespace {

using Clock = std::chrono::steady_clock;
using runtime::Range;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What each member contributes: the nodes it has, and those that its ranges make.
std::vector<std::vector<Range>> nodes_of(const runtime::Order& order, std::uint32_t micro_batches,
                                         std::size_t members) {
  std::vector<std::vector<Range>> nodes(members);
  if (order.shares.empty()) {
    const std::vector<Range> ranges = runtime::share_out(micro_batches, members);
    for (std::size_t m = 0; m < members; ++m) nodes[m] = runtime::whole_subtrees(ranges[m], micro_batches);
    return nodes;
  }
  CADRE_CHECK(order.shares.size() == members, order.shares.size(), " shares for ", members, " members");
  for (std::size_t m = 0; m < members; ++m) {
    nodes[m] = order.shares[m].held;
    for (const Range& range : order.shares[m].compute) {
      const std::vector<Range> whole = runtime::whole_subtrees(range, micro_batches);
      nodes[m].insert(nodes[m].end(), whole.begin(), whole.end());
    }
  }
  return nodes;
}

// For `reduction: fast`: each member that has anything contributes one sum, and those are added in the tree over them.
void contribute_one_sum_each(comm::ReductionPlan& plan) {
  plan.micro_batches = 0;
  for (std::vector<Range>& nodes : plan.nodes) {
    if (nodes.empty()) continue;
    nodes = {{plan.micro_batches, plan.micro_batches + 1}};
    ++plan.micro_batches;
  }
}

}  // namespace

void TrainStep::reset() {
  nodes_.clear();
  results_.clear();
  reduced_.clear();
  rank_sum_.clear();
}

std::vector<Range> TrainStep::held() const {
  std::vector<Range> held;
  for (const auto& [begin, node] : nodes_) held.push_back(node.first);
  return held;
}

std::vector<runtime::MicroBatchResult> TrainStep::results() const {
  std::vector<runtime::MicroBatchResult> results;
  for (const auto& [index, result] : results_) results.push_back(result);
  return results;
}

std::vector<float> TrainStep::compute(Range node, const data::Step& step, const ViewParts& parts, const Tell& tell) {
  comm::TreeSum sum;
  std::vector<float> in_sequence;  // reduction: fast
  const at::Tensor& gradients = state_.decoder->parameters().gradients();
  const std::span<const float> gradient(static_cast<const float*>(gradients.data_ptr()),
                                        static_cast<std::size_t>(gradients.numel()));
  for (std::uint32_t m = node.begin; m < node.end; ++m) {
    parts.interruption.check();
    const Span span(trace_, "compute", step_ + 1, m);
    runtime::MicroBatchResult result =
        compute_micro_batch(*state_.decoder, state_.prepared.train, step.micro_batches.at(m), m, trained_tokens_,
                            {.seed = static_cast<std::uint64_t>(state_.config.seed),
                             .step = static_cast<std::uint32_t>(step_),
                             .lora_dropout = state_.config.lora_dropout,
                             .checkpointing = state_.config.gradient_checkpointing});
    if (!is_fast()) {
      sum.add(gradient);
    } else if (in_sequence.empty()) {
      in_sequence.assign(gradient.begin(), gradient.end());
    } else {
      comm::add_in_place(in_sequence, gradient);
    }
    tell(runtime::Progress{.stamp = parts.view.stamp, .step = step_, .result = result});
    results_[m] = std::move(result);
  }
  return is_fast() ? std::move(in_sequence) : sum.finish();
}

runtime::Prepared TrainStep::prepare(const runtime::Order& order, const ViewParts& parts, const Tell& tell) {
  const Clock::time_point begin = Clock::now();
  const data::Step& step = state_.plan.at(static_cast<std::int64_t>(order.step));
  if (order.step != step_) reset();
  step_ = order.step;
  trained_tokens_ = trained_tokens_of(state_.prepared.train, step);
  reduced_.clear();
  rank_sum_.clear();

  const auto micro_batches = static_cast<std::uint32_t>(step.micro_batches.size());
  comm::ReductionPlan plan{.micro_batches = micro_batches,
                           .nodes = nodes_of(order, micro_batches, parts.view.size()),
                           .chunks = state_.optimizer.chunks(),
                           .placement = &parts.placement};
  const std::vector<Range> mine = plan.nodes[parts.self];
  if (is_fast()) contribute_one_sum_each(plan);
  comm::ExactReduction reduction(parts.communicator, std::move(plan));
  for (const Range& node : mine) {
    const auto found = nodes_.find(node.begin);
    if (found == nodes_.end() || !(found->second.first == node)) {
      nodes_[node.begin] = {node, compute(node, step, parts, tell)};
    }
    const std::vector<float>& sum = nodes_[node.begin].second;
    if (!is_fast()) {
      reduction.contribute(sum);
    } else if (rank_sum_.empty()) {
      rank_sum_ = sum;
    } else {
      comm::add_in_place(rank_sum_, sum);
    }
  }
  if (!rank_sum_.empty()) reduction.contribute(rank_sum_);
  runtime::Prepared vote{.stamp = parts.view.stamp, .step = step_};
  vote.compute_seconds = seconds_since(begin);
  {
    const Span span(trace_, "exchange", step_ + 1);
    reduced_ = reduction.finish();
  }
  vote.exchange_seconds = seconds_since(begin) - vote.compute_seconds;

  const Span span(trace_, "digest", step_ + 1);
  for (const auto& [chunk, sum] : reduced_) {
    const auto& holders = parts.placement.holders[chunk];
    vote.copy_digests.resize(std::max(vote.copy_digests.size(), holders.size()));
    for (std::size_t copy = 0; copy < holders.size(); ++copy) {
      if (holders[copy] != parts.self) continue;
      vote.copy_digests[copy] += state_.optimizer.digest(chunk, sum.values);
      if (copy == 0) vote.norms.push_back({chunk, optimizer::sum_of_squares(sum.values)});
    }
  }
  const at::Tensor& values = state_.decoder->parameters().values();
  vote.parameters_digest =
      runtime::digest_of({static_cast<const std::byte*>(values.data_ptr()), values.nbytes()}, step_);
  return vote;
}

void TrainStep::commit(const runtime::Commit& commit, const ViewParts& parts) {
  CADRE_CHECK(commit.step == step_, "a commit of step ", commit.step, " while step ", step_, " is in hand");
  if (commit.apply) {
    const UpdateStep update{
        .learning_rate = optimizer::learning_rate_at(static_cast<std::int64_t>(step_), state_.schedule),
        .gradient_scale = commit.clip_scale,
        .number = static_cast<std::int64_t>(step_) + 1};
    {
      const Span span(trace_, "apply", step_ + 1);
      for (const auto& [chunk, sum] : reduced_) state_.optimizer.apply(chunk, sum.values, update);
    }
    const Span span(trace_, "gather", step_ + 1);
    const at::Tensor& values = state_.decoder->parameters().values();
    comm::all_gather(parts.communicator, state_.optimizer.chunks(), parts.placement,
                     {static_cast<float*>(values.data_ptr()), static_cast<std::size_t>(values.numel())});
  }
  reset();
}

}  // namespace cadre::run
