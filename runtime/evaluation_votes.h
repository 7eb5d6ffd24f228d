// One evaluation: the losses of the units of validation rows, each from the member that computed it, added in order.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/step_votes.h"

namespace cadre::runtime {

class EvaluationVotes {
 public:
  // Units are shared out among the members by share_out().
  void begin(std::uint64_t step, std::uint32_t units, const View& view);

  Taken take(std::uint32_t member, const Evaluated& evaluated);

  bool complete() const { return answered_ == shares_.size(); }
  bool has_answered(std::uint32_t member) const { return has_answered_[member]; }
  // Once complete. Which ranks have other parameters than the rest; empty: all the same.
  std::string parameters_problem() const;
  const std::vector<std::pair<Rank, std::uint64_t>>& parameters_digests() const { return digests_; }
  // 0 where no token is trained.
  double loss() const;

 private:
  std::uint64_t step_ = 0;
  std::vector<Range> shares_;
  std::vector<UnitLoss> units_;
  std::vector<bool> has_answered_;
  std::vector<std::pair<Rank, std::uint64_t>> digests_;  // by member
  std::size_t answered_ = 0;
};

}  // namespace cadre::runtime
