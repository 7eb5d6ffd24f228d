// Chunks' state from those who hold it to those who are to hold it, when a view changes.
#pragma once

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

// `parts` is of the new view; `optimizer` has room for the chunks that this member is to hold. Each chunk comes from
// the first of its holders that is still there. comm::CommError, Aborted.
void move_state(const Residency& residency, const ViewParts& parts, OptimizerShard& optimizer);

}  // namespace cadre::run
