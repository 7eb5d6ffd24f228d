#pragma once

#include "launch/arguments.h"

namespace cadre::launch {

// `cadre train` in a process that a user's own mpirun started. Returns the run's exit code, in each rank.
int train_as_rank(Arguments arguments);

}  // namespace cadre::launch
