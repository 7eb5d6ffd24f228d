#include "comm/exact_reduction.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "runtime/error.h"

namespace cadre::comm {

using runtime::Range;

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
  if (rounds_ > 0) begin_round();
}

void ExactReduction::give_up() noexcept {
  if (std::exchange(is_finished_, true)) return;
  communicator_.abort("a reduction was given up");
  try {
    communicator_.wait(communicator_.start({}));
  } catch (const std::exception&) {  // Aborted, and nothing touches the buffers any more
  }
}

std::vector<Range> ExactReduction::nodes_of_round(std::size_t member) const {
  const std::vector<Range>& all = plan_.nodes[member];
  if (!plan_.in_rounds) return all;
  return round_ < all.size() ? std::vector{all[round_]} : std::vector<Range>();
}

void ExactReduction::begin_round() {
  std::vector<std::vector<Range>> nodes;
  for (std::size_t member = 0; member < plan_.nodes.size(); ++member) nodes.push_back(nodes_of_round(member));
  routes_.emplace(plan_.hosts, nodes, plan_.micro_batches);
  if (const std::uint32_t host = routes_->host_of(self_); routes_->gathers(host)) {
    for (std::uint64_t chunk = 0; chunk < plan_.chunks.count(); ++chunk) {
      const bool is_ours = routes_->host_of(plan_.placement->owner_of(chunk)) == host;
      if (!is_ours && routes_->gatherer(host, chunk) == self_) gathered_.emplace(chunk, plan_.micro_batches);
    }
  }
  own_front_ = nodes_of_round(self_).empty() ? 0 : plan_.chunks.count();
  receive_contributions();
  receive_gathered();
}

// Node by node, chunks descending: as the sender's backward pass completes them.
void ExactReduction::receive_contributions() {
  std::vector<std::uint64_t> here;  // chunks whose nodes come to this member
  for (const auto& [chunk, sums] : sums_) here.push_back(chunk);
  for (const auto& [chunk, sums] : gathered_) here.push_back(chunk);
  std::ranges::sort(here, std::greater());
  early_ = {};
  late_.clear();
  for (std::uint32_t member = 0; member < plan_.nodes.size(); ++member) {
    const std::vector<Range> nodes = nodes_of_round(member);
    if (member == self_ || nodes.empty()) continue;
    for (const Range& node : nodes) {
      for (const std::uint64_t chunk : here) {
        if (routes_->first_stop(member, chunk, plan_.placement->owner_of(chunk)) != self_) continue;
        receive(node == nodes.back() ? late_[chunk] : early_, member, node, chunk);
      }
    }
  }
  early_.ticket = communicator_.start(std::move(early_.group));
  for (const std::uint64_t chunk : here) {
    Arrivals& of_chunk = late_[chunk];
    of_chunk.ticket = communicator_.start(std::move(of_chunk.group));
  }
}

// After all that a member contributes itself; chunks descending, a chunk's nodes ascending.
void ExactReduction::receive_gathered() {
  from_hosts_ = {};
  for (std::uint32_t host = 0; host < routes_->host_count(); ++host) {
    if (host == routes_->host_of(self_) || !routes_->gathers(host)) continue;
    for (auto owned = sums_.rbegin(); owned != sums_.rend(); ++owned) {
      const std::uint32_t from = routes_->gatherer(host, owned->first);
      for (const Range& node : routes_->joined(host)) receive(from_hosts_, from, node, owned->first);
    }
  }
  from_hosts_.ticket = communicator_.start(std::move(from_hosts_.group));
}

void ExactReduction::receive(Arrivals& arrivals, std::uint32_t from, Range node, std::uint64_t chunk) {
  std::vector<float>& values =
      arrivals.values.emplace_back(Arrival{node, chunk, std::vector<float>(plan_.chunks.range(chunk).size())}).values;
  arrivals.group.receives.push_back({static_cast<int>(from), std::as_writable_bytes(std::span<float>(values))});
}

NodeSums& ExactReduction::sums_of(std::uint64_t chunk) {
  return plan_.placement->owner_of(chunk) == self_ ? sums_.at(chunk) : gathered_.at(chunk);
}

void ExactReduction::contribute_chunk(std::uint64_t chunk, std::span<const float> sum) {
  CADRE_CHECK(next_node_ < plan_.nodes[self_].size(), "more nodes than planned");
  CADRE_CHECK(!plan_.in_rounds || next_node_ == round_, "node ", next_node_, " in round ", round_);
  const Range node = plan_.nodes[self_][next_node_];
  const std::uint32_t stop = routes_->first_stop(self_, chunk, plan_.placement->owner_of(chunk));
  if (stop == self_) {
    sums_of(chunk).add(node, plan_.in_rounds ? Operand::of({sum.begin(), sum.end()}) : Operand::look(sum));
    if (plan_.in_rounds) plan_.on_left(chunk);
  } else {
    tickets_.push_back(communicator_.start({.sends = {{static_cast<int>(stop), std::as_bytes(sum)}}}));
    if (plan_.in_rounds) leaving_.emplace_back(tickets_.back(), chunk);
  }
  tell_what_has_left();
  if (plan_.in_rounds || next_node_ + 1 == plan_.nodes[self_].size()) own_front_ = chunk;
  if (chunk == 0) ++next_node_;
  send_what_is_complete();
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
  take_in(early_);
  for (auto late = late_.rbegin(); late != late_.rend(); ++late) {
    take_in(late->second);
    if (gathered_.contains(late->first)) send_gathered(late->first);
  }
  take_in(from_hosts_);
  ++round_;
  if (!plan_.in_rounds) return;
  for (const Communicator::Ticket ticket : tickets_) communicator_.wait(ticket);
  tickets_.clear();
  for (const auto& [ticket, chunk] : std::exchange(leaving_, {})) plan_.on_left(chunk);
  sent_on_.clear();
  if (round_ < rounds_) begin_round();
}

void ExactReduction::take_in(Arrivals& arrivals) {
  if (std::exchange(arrivals.is_taken, true)) return;
  communicator_.wait(arrivals.ticket);
  for (Arrival& arrival : arrivals.values) {
    sums_of(arrival.chunk).add(arrival.node, Operand::of(std::move(arrival.values)));
  }
  arrivals.values.clear();
}

// In the order in which the owners expect them.
void ExactReduction::send_what_is_complete() {
  while (!gathered_.empty() && are_there(early_)) {
    const std::uint64_t chunk = gathered_.rbegin()->first;
    if (chunk < own_front_ || !are_there(late_.at(chunk))) return;
    take_in(early_);
    take_in(late_.at(chunk));
    send_gathered(chunk);
  }
}

void ExactReduction::send_gathered(std::uint64_t chunk) {
  const auto gathered = gathered_.find(chunk);
  const int owner = static_cast<int>(plan_.placement->owner_of(chunk));
  for (auto& made : gathered->second.take_nodes()) {
    const std::span<const float> values = sent_on_.emplace_back(std::move(made)).second.values;
    tickets_.push_back(communicator_.start({.sends = {{owner, std::as_bytes(values)}}}));
  }
  gathered_.erase(gathered);
}

void ExactReduction::tell_what_has_left() {
  for (; !leaving_.empty() && communicator_.is_done(leaving_.front().first); leaving_.pop_front()) {
    plan_.on_left(leaving_.front().second);
  }
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
