#include "runtime/workload.h"

#include <algorithm>

#include "runtime/error.h"

namespace cadre::runtime {

std::uint32_t Workload::micro_batches_of(std::uint64_t step) const {
  CADRE_CHECK(step < total_steps, "step ", step, " of ", total_steps);
  for (const EpochShape& epoch : epochs) {
    if (step < epoch.steps) return step + 1 == epoch.steps ? epoch.last_micro_batches : epoch.micro_batches;
    step -= epoch.steps;
  }
  CADRE_CHECK(false, "step ", step, " lies beyond the epochs");
  return 0;
}

double Workload::epochs_after(std::uint64_t steps) const {
  double done = 0;
  for (const EpochShape& epoch : epochs) {
    if (steps < epoch.steps) return done + static_cast<double>(steps) / static_cast<double>(epoch.steps);
    steps -= epoch.steps;
    done += 1;
  }
  return done;
}

}  // namespace cadre::runtime
