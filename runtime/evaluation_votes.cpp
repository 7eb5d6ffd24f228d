#include "runtime/evaluation_votes.h"

#include "runtime/disputes.h"
#include "runtime/error.h"

namespace cadre::runtime {

void EvaluationVotes::begin(std::uint64_t step, std::uint32_t units, const View& view) {
  step_ = step;
  shares_ = share_out(units, view.size());
  units_.assign(units, {});
  has_answered_.assign(view.size(), false);
  digests_.clear();
  for (const Member& member : view.members) digests_.emplace_back(member.rank, 0);
  answered_ = 0;
}

Taken EvaluationVotes::take(std::uint32_t member, const Evaluated& evaluated) {
  if (evaluated.step != step_ || has_answered_[member]) return Taken::ignored();
  const Range share = shares_[member];
  bool own = evaluated.units.size() == share.size();
  for (std::uint32_t u = 0; own && u < share.size(); ++u) own = evaluated.units[u].unit == share.begin + u;
  if (!own) {
    return Taken::broken(say("answered an evaluation with ", evaluated.units.size(), " units; its own are ",
                             share.begin, " to ", share.end));
  }
  for (const UnitLoss& unit : evaluated.units) units_[unit.unit] = unit;
  digests_[member].second = evaluated.parameters_digest;
  has_answered_[member] = true;
  ++answered_;
  return Taken::taken();
}

std::string EvaluationVotes::parameters_problem() const {
  return runtime::parameters_problem(digests_, step_);
}

double EvaluationVotes::loss() const {
  double sum = 0;
  std::uint64_t trained = 0;
  for (const UnitLoss& unit : units_) {
    sum += unit.loss_sum;
    trained += unit.trained_tokens;
  }
  return trained == 0 ? 0 : sum / static_cast<double>(trained);
}

}  // namespace cadre::runtime
