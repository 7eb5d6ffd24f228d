#include "comm/exact_reduction.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"

namespace cadre::comm {

ExactReduction::ExactReduction(Communicator& communicator, ReductionPlan plan)
    : communicator_(communicator), plan_(std::move(plan)), self_(static_cast<std::uint32_t>(communicator.rank())) {
  CADRE_CHECK(plan_.nodes.size() == static_cast<std::size_t>(communicator.size()), plan_.nodes.size(), " members of ",
              communicator.size());
  CADRE_CHECK(plan_.placement->holders.size() == plan_.chunks.count(), "a placement of another space");
  for (const std::uint64_t chunk : plan_.placement->chunks_of(self_, 0)) {
    sums_.emplace(chunk, NodeSums(plan_.micro_batches));
  }
  if (plan_.in_rounds) {
    rounds_ = 0;
    for (const auto& nodes : plan_.nodes) rounds_ = std::max(rounds_, nodes.size());
  }
  if (rounds_ > 0) post_receives();
}

ExactReduction::~ExactReduction() {
  if (is_finished_) return;
  communicator_.abort("a reduction was given up");
  try {
    communicator_.wait(arrivals_ticket_);
  } catch (const std::exception&) {  // Aborted, and nothing writes into the buffers any more
  }
}

// Node by node, chunks descending: as the sender's backward pass completes them.
void ExactReduction::post_receives() {
  Group group;
  for (std::size_t member = 0; member < plan_.nodes.size(); ++member) {
    if (member == self_) continue;
    const std::span<const runtime::Range> all = plan_.nodes[member];
    const std::size_t begin = plan_.in_rounds ? std::min(round_, all.size()) : 0;
    const std::size_t end = plan_.in_rounds ? std::min(round_ + 1, all.size()) : all.size();
    for (const runtime::Range& node : all.subspan(begin, end - begin)) {
      for (auto owned = sums_.rbegin(); owned != sums_.rend(); ++owned) {
        Arrival& arrival = arrivals_.emplace_back(
            Arrival{node, owned->first, std::vector<float>(plan_.chunks.range(owned->first).size())});
        group.receives.push_back({static_cast<int>(member), std::as_writable_bytes(std::span<float>(arrival.values))});
      }
    }
  }
  arrivals_ticket_ = communicator_.start(std::move(group));
}

void ExactReduction::contribute_chunk(std::uint64_t chunk, std::span<const float> sum) {
  CADRE_CHECK(next_node_ < plan_.nodes[self_].size(), "more nodes than planned");
  CADRE_CHECK(!plan_.in_rounds || next_node_ == round_, "node ", next_node_, " in round ", round_);
  const runtime::Range node = plan_.nodes[self_][next_node_];
  const std::uint32_t owner = plan_.placement->owner_of(chunk);
  if (owner == self_) {
    sums_.at(chunk).add(node, plan_.in_rounds ? Operand::of({sum.begin(), sum.end()}) : Operand::look(sum));
  } else {
    tickets_.push_back(communicator_.start({.sends = {{static_cast<int>(owner), std::as_bytes(sum)}}}));
  }
  if (chunk == 0) ++next_node_;
}

void ExactReduction::contribute(std::span<const float> sum) {
  CADRE_CHECK(sum.size() == plan_.chunks.elements, sum.size(), " of ", plan_.chunks.elements, " elements");
  for (std::uint64_t chunk = plan_.chunks.count(); chunk-- > 0;) {
    const runtime::ChunkRange range = plan_.chunks.range(chunk);
    contribute_chunk(chunk, sum.subspan(range.begin, range.size()));
  }
}

ReducedChunks ExactReduction::finish() {
  CADRE_CHECK(next_node_ == plan_.nodes[self_].size(), next_node_, " nodes of ", plan_.nodes[self_].size());
  while (round_ < rounds_) end_round();
  ReducedChunks reduced;
  for (auto& [chunk, sum] : sums_) reduced.emplace(chunk, sum.take());
  pass_on(reduced);
  for (const Communicator::Ticket ticket : tickets_) communicator_.wait(ticket);
  is_finished_ = true;
  return reduced;
}

void ExactReduction::end_round() {
  communicator_.wait(arrivals_ticket_);
  for (Arrival& arrival : arrivals_) {
    sums_.at(arrival.chunk).add(arrival.node, Operand::of(std::move(arrival.values)));
  }
  arrivals_.clear();
  ++round_;
  if (!plan_.in_rounds) return;
  for (const Communicator::Ticket ticket : tickets_) communicator_.wait(ticket);
  tickets_.clear();
  if (round_ < rounds_) post_receives();
}

void ExactReduction::pass_on(ReducedChunks& sums) {
  const auto& holders = plan_.placement->holders;
  Group group;
  for (std::uint64_t chunk = 0; chunk < holders.size(); ++chunk) {
    for (std::size_t copy = 1; copy < holders[chunk].size(); ++copy) {
      const std::uint32_t owner = holders[chunk][0], backup = holders[chunk][copy];
      if (owner == self_) {
        group.sends.push_back({static_cast<int>(backup), std::as_bytes(sums.at(chunk).values)});
      } else if (backup == self_) {
        Operand& sum =
            sums.emplace(chunk, Operand::of(std::vector<float>(plan_.chunks.range(chunk).size()))).first->second;
        group.receives.push_back({static_cast<int>(owner), std::as_writable_bytes(std::span<float>(sum.owned))});
      }
    }
  }
  communicator_.wait(communicator_.start(std::move(group)));
}

}  // namespace cadre::comm
