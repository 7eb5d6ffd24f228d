#include "trainer/run/train_step.h"

#include <algorithm>
#include <chrono>

#include "comm/all_gather.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/failpoints.h"
#include "trainer/run/gradient_front.h"

namespace cadre::run {
namespace {

using Clock = std::chrono::steady_clock;
using runtime::Failpoint;
using runtime::Range;
using runtime::reach;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What a failpoint does to memory.
void flip_a_bit(std::span<const float> values) {
  reinterpret_cast<std::uint32_t*>(const_cast<float*>(values.data()))[values.size() / 2] ^= 1;
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
  sum_.clear();
}

std::vector<Range> TrainStep::held() const {
  std::vector<Range> held;
  for (const auto& [begin, node] : nodes_) held.push_back(node.first);
  return held;
}

std::vector<runtime::MicroBatchResult> TrainStep::results() const {
  std::vector<runtime::MicroBatchResult> results;
  for (const auto& [begin, node] : nodes_) {
    for (std::uint32_t m = node.first.begin; m < node.first.end; ++m) results.push_back(results_.at(m));
  }
  return results;
}

struct TrainStep::Work {
  const data::Step& step;
  const ViewParts& parts;
  const Tell& tell;
  const std::vector<Range>& nodes;  // of this member
  comm::ExactReduction& reduction;
};

std::span<const float> TrainStep::gradient() const {
  const at::Tensor& gradients = state_.decoder->parameters().gradients();
  return {static_cast<const float*>(gradients.data_ptr()), static_cast<std::size_t>(gradients.numel())};
}

void TrainStep::compute_one(std::uint32_t micro_batch, const Work& work) {
  work.parts.interruption.check();
  const Span span(trace_, "compute", step_ + 1, micro_batch);
  const Clock::time_point begin = Clock::now();
  reach(Failpoint::kForward, step_);
  runtime::MicroBatchResult result = compute_micro_batch(
      *state_.decoder, state_.prepared.train, work.step.micro_batches.at(micro_batch), micro_batch, trained_tokens_,
      {.seed = static_cast<std::uint64_t>(state_.config.seed),
       .step = static_cast<std::uint32_t>(step_),
       .lora_dropout = state_.config.lora_dropout,
       .checkpointing = state_.config.gradient_checkpointing});
  result.view = work.parts.view.stamp.view;
  compute_seconds_ += seconds_since(begin);
  reach(Failpoint::kBackward, step_);
  work.tell(runtime::Progress{.stamp = work.parts.view.stamp, .step = step_, .result = result});
  results_[micro_batch] = std::move(result);
}

void TrainStep::compute_node(Range node, const Work& work) {
  sum_.clear();
  try {
    for (std::uint32_t m = node.begin; m + 1 < node.end; ++m) {
      compute_one(m, work);
      sum_.add(gradient());
    }
    compute_last(node, work);
  } catch (...) {
    work.reduction.give_up();  // pieces of the partial sums may be on their way
    keep_partials(node.begin);
    throw;
  }
  if (!in_rounds()) nodes_[node.begin] = {node, sum_.finish_pieces()};
}

void TrainStep::keep_partials(std::uint32_t begin) {
  for (auto& [leaves, sum] : sum_.take_partials()) {
    const Range node{begin, begin + static_cast<std::uint32_t>(leaves)};
    nodes_[begin] = {node, std::move(sum)};
    begin = node.end;
  }
}

void TrainStep::compute_last(Range node, const Work& work) {
  const runtime::ChunkSpace& chunks = state_.optimizer.chunks();
  GradientFront front(chunks, [&](std::uint64_t chunk) {
    const runtime::ChunkRange range = chunks.range(chunk);
    std::span<const float> piece = gradient().subspan(range.begin, range.size());
    if (!in_rounds()) piece = sum_.finish_piece(chunks.elements, range.begin, piece);
    work.reduction.contribute_chunk(chunk, piece);
  });
  const Listening listening(state_.decoder->parameters(), front);
  compute_one(node.end - 1, work);
  front.finish();
}

void TrainStep::add_up(Range node, const Work& work) {
  std::vector<float> sum;
  for (std::uint32_t m = node.begin; m < node.end; ++m) {
    compute_one(m, work);
    if (m == node.begin) {
      sum.assign(gradient().begin(), gradient().end());
    } else {
      comm::add_in_place(sum, gradient());
    }
  }
  nodes_[node.begin] = {node, std::move(sum)};
}

void TrainStep::exchange(const Work& work) {
  for (const Range& node : work.nodes) {
    const auto found = nodes_.find(node.begin);
    const bool held = found != nodes_.end() && found->second.first == node;
    if (!is_fast()) {
      if (held) {
        work.reduction.contribute(found->second.second);
      } else {
        compute_node(node, work);
      }
      if (in_rounds()) {
        const Span span(trace_, "exchange", step_ + 1);
        work.reduction.end_round();
      }
      continue;
    }
    if (!held) add_up(node, work);
    const std::vector<float>& sum = nodes_.at(node.begin).second;
    if (rank_sum_.empty()) {
      rank_sum_ = sum;
    } else {
      comm::add_in_place(rank_sum_, sum);
    }
  }
  if (!rank_sum_.empty()) work.reduction.contribute(rank_sum_);
  const bool flips = reach(Failpoint::kExchange, step_);
  const Span span(trace_, "exchange", step_ + 1);
  reduced_ = work.reduction.finish();
  if (flips && !reduced_.empty()) flip_a_bit(reduced_.begin()->second.values);
}

void TrainStep::prepare(const runtime::Order& order, const ViewParts& parts, const Tell& tell) {
  began_ = Clock::now();
  const data::Step& step = state_.plan.at(static_cast<std::int64_t>(order.step));
  if (order.step != step_ || order.audit) reset();
  step_ = order.step;
  trained_tokens_ = trained_tokens_of(state_.prepared.train, step);
  reduced_.clear();
  rank_sum_.clear();
  compute_seconds_ = 0;

  const auto micro_batches = static_cast<std::uint32_t>(step.micro_batches.size());
  comm::ReductionPlan plan{.micro_batches = micro_batches,
                           .nodes = nodes_of(order, micro_batches, parts.view, in_rounds()),
                           .chunks = state_.optimizer.chunks(),
                           .placement = &parts.placement,
                           .hosts = parts.hosts,
                           .in_rounds = in_rounds(),
                           .on_left = [this](std::uint64_t chunk) { state_.release_gradient(chunk); }};
  const std::vector<Range> mine = plan.nodes[parts.self];
  if (is_fast()) contribute_one_sum_each(plan);
  comm::ExactReduction reduction(parts.communicator, std::move(plan));
  exchange({step, parts, tell, mine, reduction});
}

runtime::Prepared TrainStep::vote(const runtime::Order& order, const ViewParts& parts) {
  const Span span(trace_, "digest", step_ + 1);
  runtime::Prepared vote{.stamp = parts.view.stamp, .step = step_};
  vote.compute_seconds = compute_seconds_;
  vote.exchange_seconds = seconds_since(began_) - vote.compute_seconds;
  std::vector<runtime::ChunkDigest> held;
  for (const auto& [chunk, sum] : reduced_) {
    const auto& holders = parts.placement.holders[chunk];
    vote.copy_digests.resize(std::max(vote.copy_digests.size(), holders.size()));
    for (std::size_t copy = 0; copy < holders.size(); ++copy) {
      if (holders[copy] != parts.self) continue;
      held.push_back({chunk, state_.optimizer.digest(chunk, sum.values)});
      vote.copy_digests[copy] += held.back().digest;
      if (copy == 0) vote.norms.push_back({chunk, optimizer::sum_of_squares(sum.values)});
    }
  }
  if (order.audit) {
    vote.held = held;
    if (said_of_ == step_) vote.held_before = std::move(said_);
  }
  said_ = std::move(held);
  said_of_ = step_;
  vote.parameters_digest = parameters_digest(step_);
  return vote;
}

std::uint64_t TrainStep::parameters_digest(std::uint64_t step) const {
  const at::Tensor& values = state_.decoder->parameters().values();
  return runtime::digest_of({static_cast<const std::byte*>(values.data_ptr()), values.nbytes()}, step);
}

void TrainStep::apply(const runtime::Commit& commit) {
  CADRE_CHECK(commit.step == step_, "a commit of step ", commit.step, " while step ", step_, " is in hand");
  if (commit.apply) {
    const UpdateStep update{
        .learning_rate = optimizer::learning_rate_at(static_cast<std::int64_t>(step_), state_.schedule),
        .gradient_scale = commit.clip_scale,
        .number = static_cast<std::int64_t>(step_) + 1};
    const Span span(trace_, "apply", step_ + 1);
    for (const auto& [chunk, sum] : reduced_) {
      state_.optimizer.apply(chunk, sum.values, update);
      if (reach(Failpoint::kApply, step_)) flip_a_bit(state_.optimizer.states().at(chunk).first_moment);
    }
  }
  reset();
}

void TrainStep::gather(const ViewParts& parts, const runtime::Placement& holders, const std::vector<bool>& receivers) {
  const bool flips = reach(Failpoint::kGather, step_);
  const Span span(trace_, "gather", step_ + 1);
  comm::AllGather gather(
      parts.communicator,
      {.chunks = state_.optimizer.chunks(), .holders = &holders, .hosts = parts.hosts, .receivers = receivers},
      state_.optimizer.values());
  gather.finish();
  if (!flips) return;
  // Of a chunk that others hold, where there is one.
  const auto& held = parts.placement.holders;
  std::uint64_t chunk = 0;
  while (chunk + 1 < held.size() && std::count(held[chunk].begin(), held[chunk].end(), parts.self) > 0) ++chunk;
  flip_a_bit(state_.optimizer.values_of(chunk));
}

}  // namespace cadre::run
