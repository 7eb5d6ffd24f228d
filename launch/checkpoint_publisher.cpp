#include "launch/checkpoint_publisher.h"

#include <filesystem>
#include <utility>

#include "runtime/clock.h"
#include "runtime/error.h"

namespace cadre::launch {

CheckpointPublisher::CheckpointPublisher(runtime::CheckpointStore store, Published published, Warn warn)
    : store_(std::move(store)), published_(std::move(published)), warn_(std::move(warn)), thread_([this] { run(); }) {}

CheckpointPublisher::~CheckpointPublisher() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    tasks_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointPublisher::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_all();
}

void CheckpointPublisher::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (ending_) return;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

void CheckpointPublisher::publish(runtime::Publish task) {
  post([this, task = std::move(task)] {
    std::string problem;
    try {
      runtime::StagedCheckpoint staged =
          store_.gather(task.manifest.step, {.generation = task.manifest.generation, .view = task.manifest.view});
      for (const runtime::Shard& shard : task.shards) staged.add_shard(shard.file, shard.sha256);
      staged.publish(task.manifest, runtime::now_utc());
    } catch (const std::exception& error) {
      problem = error.what();
    }
    published_(task.manifest.step, problem);
  });
}

void CheckpointPublisher::give_up(runtime::GiveUpCheckpoint task) {
  post([this, task = std::move(task)] {
    std::error_code ignored;  // what stays is removed at the next start
    std::filesystem::remove_all(runtime::staging_folder(store_.folder(), task.step, task.stamp), ignored);
    if (!task.problem.empty()) published_(task.step, task.problem);
  });
}

void CheckpointPublisher::remove(std::uint64_t step) {
  post([this, step] {
    try {
      store_.remove(step);
    } catch (const std::exception& error) {
      warn_(runtime::say("the checkpoint of step ", step, " could not be removed: ", error.what()));
    }
  });
}

void CheckpointPublisher::look(std::function<void(const runtime::CheckpointStore& store)> task) {
  post([this, task = std::move(task)] { task(store_); });
}

}  // namespace cadre::launch
