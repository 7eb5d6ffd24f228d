// One step of a simulated rank, as trainer/run/train_step.cpp and comm/exact_reduction.cpp have it.
#include "tests/unit/runtime/simulation/simulated_cluster.h"
#include "tests/unit/runtime/simulation/simulated_rank.h"

namespace cadre::simulation {

using namespace std::chrono_literals;
using runtime::Range;

void SimulatedRank::reset_step() {
  nodes_.clear();
  results_.clear();
  reduced_.clear();
  is_prepared_ = false;
}

void SimulatedRank::prepare(const runtime::Order& order) {
  if (order.step != step_) reset_step();
  step_ = order.step;
  reduced_.clear();
  arrived_.clear();
  is_prepared_ = false;
  plan_ =
      nodes_of(order, cluster_.workload().micro_batches_of(step_), place_->view, cluster_.scenario().policy.in_rounds);
  compute(0, 0);
}

// The micro-batches of the `node`-th node from `micro_batch` on, and all nodes after it.
void SimulatedRank::compute(std::size_t node, std::uint32_t micro_batch) {
  const std::vector<Range>& mine = plan_[place_->self];
  if (node == mine.size()) return exchange();
  const Range range = mine[node];
  const auto found = nodes_.find(range.begin);
  if (found != nodes_.end() && found->second.first == range) {
    contribute(range);
    return compute(node + 1, 0);
  }
  if (pending_ > 0) return idle();
  const std::uint32_t m = std::max(micro_batch, range.begin);
  if (m == range.begin) leaves_.clear();
  busy(cluster_.time_to_compute(self_.rank), [this, node, range, m] {
    runtime::MicroBatchResult result{m,
                                     loss_of(step_, m, parameters()),
                                     2 * kTrainedTokens,
                                     kTrainedTokens,
                                     samples_of(cluster_.workload(), step_, m),
                                     place_->view.stamp.view};
    cluster_.computed(*this, step_, m, place_->view.stamp.view);
    client_.send(runtime::Progress{place_->view.stamp, step_, result});
    results_[m] = std::move(result);
    for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
      leaves_[m].push_back(gradient_of(step_, m, chunk, parameters()));
    }
    if (m + 1 < range.end) return compute(node, m + 1);
    std::vector<std::uint64_t> sums;
    for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
      sums.push_back(tree_sum(range, [&](Range part) -> const std::uint64_t* {
        return part.size() == 1 ? &leaves_.at(part.begin)[chunk] : nullptr;
      }));
    }
    nodes_[range.begin] = {range, std::move(sums)};
    contribute(range);
    compute(node + 1, 0);
  });
}

void SimulatedRank::contribute(Range node) {
  const std::vector<std::uint64_t>& sums = nodes_.at(node.begin).second;
  for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
    const std::uint32_t owner = place_->placement.owner_of(chunk);
    if (owner == place_->self) {
      arrived_[chunk][node.begin] = {node, sums[chunk]};
    } else {
      send_frame(owner, {Frame::Kind::kNode, chunk, node, {sums[chunk], 0}});
    }
  }
}

void SimulatedRank::exchange() {
  for (std::uint32_t member = 0; member < plan_.size(); ++member) {
    if (member == place_->self) continue;
    for (const Range node : plan_[member]) {
      for (const std::uint64_t chunk : place_->placement.chunks_of(place_->self, 0)) {
        expect(member, {Frame::Kind::kNode, chunk, node, {}}, [this, chunk, node](const ChunkState& sum) {
          arrived_[chunk][node.begin] = {node, sum.values};
        });
      }
    }
  }
  await([this] { pass_on(); });
}

void SimulatedRank::pass_on() {
  const std::uint32_t count = cluster_.workload().micro_batches_of(step_);
  for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
    const auto& holders = place_->placement.holders[chunk];
    if (holders.front() == place_->self) {
      reduced_[chunk] = tree_sum({0, count}, [&](Range part) -> const std::uint64_t* {
        const auto found = arrived_[chunk].find(part.begin);
        return found != arrived_[chunk].end() && found->second.first == part ? &found->second.second : nullptr;
      });
      for (std::size_t copy = 1; copy < holders.size(); ++copy) {
        send_frame(holders[copy], {Frame::Kind::kReduced, chunk, {}, {reduced_[chunk], 0}});
      }
    } else if (holds(chunk, place_->self)) {
      expect(holders.front(), {Frame::Kind::kReduced, chunk, {}, {}},
             [this, chunk](const ChunkState& sum) { reduced_[chunk] = sum.values; });
    }
  }
  await([this] { vote(); });
}

void SimulatedRank::vote() {
  check_parameters("voting");
  runtime::Prepared vote{.stamp = place_->view.stamp, .step = step_};
  for (const auto& [chunk, sum] : reduced_) {
    const auto& holders = place_->placement.holders[chunk];
    vote.copy_digests.resize(std::max(vote.copy_digests.size(), holders.size()));
    for (std::size_t copy = 0; copy < holders.size(); ++copy) {
      if (holders[copy] != place_->self) continue;
      vote.copy_digests[copy] += digest_of(chunk, sum, {values_[chunk], moments_.at(chunk)});
      if (copy == 0) vote.norms.push_back({chunk, squares_of(sum)});
    }
  }
  vote.parameters_digest = parameters();
  if (cluster_.scenario().policy.in_rounds) nodes_.clear();
  is_prepared_ = true;
  client_.send(vote);
  idle();
  look();
}

}  // namespace cadre::simulation
