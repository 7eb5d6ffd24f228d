// A fine-tuning run from configuration to verified result.
#pragma once

#include <string>

#include "trainer/config/load.h"
#include "trainer/run/progress.h"

namespace cadre::run {

enum class Outcome {
  kSucceeded,  // the result is written, read again and compared
  kStopped,    // a signal: a checkpoint is written, the same command goes on from it
};

// UserError for what the user can mend, RunError for a disk or device that fails; the run's folder then says so too.
// Blocks until the end. Main thread only: it owns the tensors and takes SIGTERM and SIGINT for its time.
Outcome train(const config::Resolved& resolved, Progress::Style style);

}  // namespace cadre::run
