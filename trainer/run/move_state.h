// What members send each other when a view begins in which the state is kept.
#pragma once

#include <optional>
#include <vector>

#include "comm/all_gather.h"
#include "runtime/members.h"
#include "runtime/placement.h"
#include "trainer/run/optimizer_shard.h"
#include "trainer/run/train_step.h"

namespace cadre::run {

// Who holds what: the placement of the view in which the last update was committed, or all have loaded. A new view's
// members keep that until the first commit of their own, so that one more loss on the way costs nothing.
struct Residency {
  runtime::View view = {};
  runtime::Placement placement = {};
};

// [chunk]: the positions in `view` of those holders that are in it, the owner first. At least one, or a failed check.
runtime::Placement holders_left(const Residency& residency, const runtime::View& view);

// Parameters for those who come in, and optimizer state for those who are to hold it from now on: in the background,
// while the others compute, and before the vote of the step. Once a view, a member gets at most three times the
// bytes of the parameters; the exchange and the gather of each step bring it nearly as many. Each chunk's state comes
// from the first of its holders that is still there; newcomers' parameters come from all residents, which have them
// complete, another one for each chunk.
class StateMove {
 public:
  // Begins. `sources` as holders_left(); `residents`: [member], who is no newcomer. `parts` is of the new view.
  // `optimizer` has room for what this member is to hold, is not written and stays in place until finish() has
  // returned or the communicator is gone.
  StateMove(const runtime::Placement& sources, const std::vector<bool>& residents, const ViewParts& parts,
            OptimizerShard& optimizer);

  // Until a newcomer has all parameters. comm::CommError, Aborted; so too finish().
  void finish_parameters();
  void finish();

 private:
  comm::Communicator& communicator_;
  std::optional<comm::AllGather> parameters_;
  comm::Communicator::Ticket state_ = 0;
};

}  // namespace cadre::run
