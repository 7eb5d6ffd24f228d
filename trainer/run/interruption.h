// How the control thread stops what the main thread computes or waits for, because the view has changed.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "comm/communicator.h"

namespace cadre::run {

class Interruption {
 public:
  // Control thread: an urgent message is on its way to the main thread.
  void raise(const std::string& reason) {
    ++pending_;
    const std::lock_guard lock(mutex_);
    if (communicator_ != nullptr) communicator_->abort(reason);
  }

  // Main thread: that message was taken.
  void lower() { --pending_; }

  // Main thread: throws comm::Aborted when one is pending. Between micro-batches.
  void check() const {
    if (pending_ > 0) throw comm::Aborted("the view changes");
  }

  // Main thread: what raise() is to abort from now on; nullptr: nothing.
  void watch(comm::Communicator* communicator) {
    const std::lock_guard lock(mutex_);
    communicator_ = communicator;
    if (communicator_ != nullptr && pending_ > 0) communicator_->abort("the view changes");
  }

 private:
  std::atomic<int> pending_ = 0;
  std::mutex mutex_;
  comm::Communicator* communicator_ = nullptr;
};

}  // namespace cadre::run
