// When to stop, and which step was best: a pure function of the validation losses so far.
#pragma once

#include <cstdint>

namespace cadre::run {

struct EarlyStopping {
  std::int64_t patience = 0;    // evaluations without a better loss before it stops; 0: never
  std::int64_t best_step = -1;  // −1: none yet
  double best_loss = 0;
  std::int64_t worse = 0;  // evaluations since the best

  // Takes the validation loss after `step` steps; true when it is the best so far. A NaN never is.
  bool observe(std::int64_t step, double loss) {
    const bool better = loss == loss && (best_step < 0 || loss < best_loss);
    if (better)
      best_step = step, best_loss = loss, worse = 0;
    else
      ++worse;
    return better;
  }
  bool should_stop() const { return patience > 0 && worse >= patience; }
};

}  // namespace cadre::run
