#include "runtime/step_votes.h"

#include <algorithm>
#include <cmath>

#include "runtime/disputes.h"
#include "runtime/error.h"

namespace cadre::runtime {

void StepVotes::begin(const Step& step, std::span<const Share> shares) {
  CADRE_CHECK(shares.empty() || shares.size() == step.view.size(), shares.size(), " shares");
  step_ = step.step;
  placement_ = &step.placement;
  copies_ = step.copies;
  voted_ = 0;
  compute_seconds_ = exchange_seconds_ = 0;
  results_.resize(step.micro_batches);
  for (Result& result : results_) result.assigned = result.in = result.kept = false;
  statements_.clear();
  owners_statements_.clear();
  members_.assign(step.view.size(), {});
  for (std::size_t m = 0; m < members_.size(); ++m) members_[m].rank = step.view.members[m].rank;
  squares_.assign(placement_->holders.size(), 0);
  copy_digests_.assign(copies_, 0);
  for (std::uint64_t chunk = 0; chunk < squares_.size(); ++chunk) ++members_[placement_->owner_of(chunk)].owned;

  const auto assign = [&](std::uint32_t member, Range range) {
    for (std::uint32_t m = range.begin; m < range.end; ++m) {
      CADRE_CHECK(m < results_.size() && !results_[m].assigned, "micro-batch ", m, " is assigned twice");
      results_[m].assigned = true;
      results_[m].member = member;
      results_[m].rank = members_[member].rank;
      results_[m].view = step.view.stamp.view;
    }
    members_[member].missing += range.size();
  };
  if (shares.empty()) {
    const std::vector<std::vector<Range>> even = even_shares(step.micro_batches, step.view, step.in_rounds);
    for (std::uint32_t m = 0; m < even.size(); ++m) {
      for (const Range range : even[m]) assign(m, range);
    }
  }
  for (std::uint32_t m = 0; m < shares.size(); ++m) {
    for (const Range range : shares[m].held) assign(m, range);
    for (const Range range : shares[m].compute) assign(m, range);
  }
  for (const Result& result : results_) CADRE_CHECK(result.assigned, "a micro-batch that nobody computes");
}

void StepVotes::keep(std::uint32_t member, LedgerEntry&& from, MicroBatchResult&& result) {
  Result& slot = results_.at(result.index);
  CADRE_CHECK(slot.member == member && !slot.in, "micro-batch ", result.index, " is not kept by member ", member);
  slot.values = std::move(result);
  slot.in = slot.kept = true;
  slot.rank = from.rank;
  slot.view = from.view;
  --members_[member].missing;
}

Taken StepVotes::take(std::uint32_t member, Progress&& progress) {
  if (progress.step != step_) return Taken::ignored();
  const std::uint32_t index = progress.result.index;
  if (index >= results_.size() || results_[index].member != member) {
    return Taken::broken(say("sent micro-batch ", index, " of step ", step_ + 1, ", which is not its own"));
  }
  if (results_[index].in) return Taken::ignored();
  results_[index].values = std::move(progress.result);
  results_[index].in = true;
  --members_[member].missing;
  return Taken::taken();
}

Taken StepVotes::take(std::uint32_t member, const Prepared& vote) {
  MemberVote& mine = members_[member];
  if (vote.step != step_ || mine.voted) return Taken::ignored();
  if (mine.missing > 0) return Taken::broken(say("voted before ", mine.missing, " of its micro-batches were done"));
  if (vote.norms.size() != mine.owned || vote.copy_digests.size() > copies_) {
    return Taken::broken(say("voted with ", vote.norms.size(), " norms and ", vote.copy_digests.size(),
                             " digests; it owns ", mine.owned, " chunks of ", copies_, " copies"));
  }
  for (std::size_t n = 0; n < vote.norms.size(); ++n) {
    const std::uint64_t chunk = vote.norms[n].chunk;
    const bool ascends = n == 0 || vote.norms[n - 1].chunk < chunk;
    if (!ascends || chunk >= squares_.size() || placement_->owner_of(chunk) != member) {
      return Taken::broken(say("voted with the norm of chunk ", chunk, ", which is not its own"));
    }
  }
  for (const auto* said : {&vote.held, &vote.held_before}) {
    const auto is_chunk = [this](const ChunkDigest& one) { return one.chunk < squares_.size(); };
    if (said->size() > squares_.size() || !std::all_of(said->begin(), said->end(), is_chunk)) {
      return Taken::broken(say("voted with digests of ", said->size(), " chunks, not all of which are there"));
    }
  }
  for (const ChunkNorm& norm : vote.norms) squares_[norm.chunk] = norm.squares;
  for (std::size_t copy = 0; copy < vote.copy_digests.size(); ++copy) copy_digests_[copy] += vote.copy_digests[copy];
  mine.voted = true;
  mine.parameters_digest = vote.parameters_digest;
  mine.compute_seconds = vote.compute_seconds;
  for (const ChunkDigest& one : vote.held) {
    if (placement_->owner_of(one.chunk) == member) owners_statements_[one.chunk] = one.digest;
  }
  auto& said = statements_.emplace_back(mine.rank, vote.held).second;
  said.insert(said.end(), vote.held_before.begin(), vote.held_before.end());
  said.push_back({Disputes::kParameters, vote.parameters_digest});
  compute_seconds_ = std::max(compute_seconds_, vote.compute_seconds);
  exchange_seconds_ = std::max(exchange_seconds_, vote.exchange_seconds);
  ++voted_;
  return Taken::taken();
}

std::string StepVotes::copy_problem() const {
  for (std::size_t copy = 1; copy < copy_digests_.size(); ++copy) {
    if (copy_digests_[copy] != copy_digests_[0]) {
      return say("copy ", copy, " of the gradients and the state is not what the owners hold");
    }
  }
  return {};
}

std::string StepVotes::parameters_problem() const {
  std::vector<std::pair<Rank, std::uint64_t>> digests;
  for (const MemberVote& member : members_) digests.emplace_back(member.rank, member.parameters_digest);
  return runtime::parameters_problem(digests, step_);
}

std::vector<StepVotes::Work> StepVotes::work() const {
  std::vector<Work> work;
  for (const MemberVote& member : members_) work.push_back({member.rank, 0, member.compute_seconds});
  for (const Result& result : results_) {
    if (!result.kept) work[result.member].tokens += result.values.tokens;
  }
  return work;
}

std::map<std::uint64_t, std::uint64_t> StepVotes::owners_statements() const {
  auto said = owners_statements_;
  if (!members_.empty()) said[Disputes::kParameters] = members_.front().parameters_digest;
  return said;
}

std::vector<std::uint32_t> StepVotes::nonfinite_micro_batches() const {
  std::vector<std::uint32_t> found;
  for (const Result& result : results_) {
    if (!std::isfinite(result.values.loss_sum)) found.push_back(result.values.index);
  }
  return found;
}

std::vector<std::uint64_t> StepVotes::nonfinite_chunks() const {
  std::vector<std::uint64_t> found;
  for (std::uint64_t chunk = 0; chunk < squares_.size(); ++chunk) {
    if (!std::isfinite(squares_[chunk])) found.push_back(chunk);
  }
  return found;
}

Committed StepVotes::outcome() {
  Committed outcome;
  outcome.step = step_ + 1;
  outcome.ranks = members_.size();
  outcome.compute_seconds = compute_seconds_;
  outcome.exchange_seconds = exchange_seconds_;
  outcome.micro_batches.reserve(results_.size());
  double loss_sum = 0, squares = 0;
  for (Result& result : results_) {
    loss_sum += result.values.loss_sum;
    outcome.tokens += result.values.tokens;
    outcome.trained_tokens += result.values.trained_tokens;
    outcome.micro_batches.push_back({result.values.index, result.rank, result.view, std::move(result.values.samples)});
  }
  for (const double chunk : squares_) squares += chunk;
  outcome.loss = loss_sum / static_cast<double>(outcome.trained_tokens);
  outcome.grad_norm = std::sqrt(squares);
  return outcome;
}

double clip_scale_of(double norm, double max_norm) {
  if (max_norm <= 0) return 1;
  return std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace cadre::runtime
