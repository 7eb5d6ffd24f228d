// Writes this rank's shards of checkpoints while training goes on.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "runtime/messages.h"
#include "trainer/run/interruption.h"
#include "trainer/run/run_files.h"
#include "trainer/run/state_shards.h"

namespace cadre::run {

// One thread, "checkpoint"; the owner hands values over to it and gets messages back through `done`, on that thread.
class CheckpointWriter {
 public:
  using Done = std::function<void(runtime::MemberMessage)>;
  // `files` outlives the writer.
  CheckpointWriter(const RunFiles& files, Done done);
  // Finishes what was begun.
  ~CheckpointWriter();

  struct Job {
    std::filesystem::path folder;  // where the checkpoint's shards are gathered, on the launch node
    std::string name;
    runtime::Stamp stamp;
    std::uint64_t step = 0;
    StateSnapshot snapshot;
  };
  // Waits for an earlier one: there is memory for one snapshot beside the one that is being made. But unless `must` a
  // disk that is slow or hangs holds up training for some seconds only, and then this one is reported as failed.
  // comm::Aborted.
  void write(Job job, bool must, const Interruption& interruption);

 private:
  void run();

  const RunFiles& files_;
  Done done_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Job> job_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace cadre::run
