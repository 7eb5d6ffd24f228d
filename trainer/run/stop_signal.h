// SIGTERM and SIGINT as a wish to stop: the run ends at the next step boundary with a checkpoint. A second signal ends
// the process at once, as if nobody had asked.
#pragma once

namespace cadre::run {

// Installs the handlers for its lifetime. One at a time.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // The signal's number, or 0.
  int received() const;
};

}  // namespace cadre::run
