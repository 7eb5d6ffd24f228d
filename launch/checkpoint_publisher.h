// Verifies, publishes and removes checkpoints while the coordinator goes on: reading back gigabytes takes its time.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "runtime/checkpoint_store.h"
#include "runtime/effects.h"

namespace cadre::launch {

// One thread, "publish"; tasks are done in order.
class CheckpointPublisher {
 public:
  // `published` is called on the publisher's thread; `problem` is empty where the checkpoint is there.
  using Published = std::function<void(std::uint64_t step, const std::string& problem)>;
  using Warn = std::function<void(const std::string& line)>;
  CheckpointPublisher(runtime::CheckpointStore store, Published published, Warn warn);
  // Ends what it is at, drops what waits.
  ~CheckpointPublisher();

  void publish(runtime::Publish task);
  void give_up(runtime::GiveUpCheckpoint task);
  void remove(std::uint64_t step);
  // Whatever else reads or changes the store, after what was asked for before.
  void look(std::function<void(const runtime::CheckpointStore& store)> task);

 private:
  void post(std::function<void()> task);
  void run();

  runtime::CheckpointStore store_;
  Published published_;
  Warn warn_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace cadre::launch
