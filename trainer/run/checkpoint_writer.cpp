#include "trainer/run/checkpoint_writer.h"

#include <chrono>
#include <utility>

#include "runtime/error.h"
#include "runtime/failpoints.h"

namespace cadre::run {
namespace {

constexpr std::chrono::seconds kLongestStall{5};
constexpr std::chrono::milliseconds kCheck{50};

runtime::MemberMessage write_job(const RunFiles& files, const CheckpointWriter::Job& job) {
  try {
    runtime::reach(runtime::Failpoint::kCheckpoint, job.step);
    const runtime::Shard shard = write_shard(files, job.folder, job.name, job.snapshot);
    runtime::reach(runtime::Failpoint::kShard, job.step);
    return runtime::ShardWritten{
        .stamp = job.stamp, .step = job.step, .file = shard.file, .sha256 = shard.sha256, .bytes = shard.bytes};
  } catch (const std::exception& error) {
    return runtime::ShardFailed{.stamp = job.stamp, .step = job.step, .reason = error.what()};
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter(const RunFiles& files, Done done)
    : files_(files), done_(std::move(done)), thread_([this] { run(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::write(Job job, bool must, const Interruption& interruption) {
  std::unique_lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + kLongestStall;
  while (!changed_.wait_for(lock, kCheck, [this] { return !job_; })) {
    interruption.check();
    if (must || std::chrono::steady_clock::now() < deadline) continue;
    const std::string reason = runtime::say("the disk is still busy with the shard of step ", job_->step);
    lock.unlock();
    return done_(runtime::ShardFailed{.stamp = job.stamp, .step = job.step, .reason = reason});
  }
  job_ = std::move(job);
  changed_.notify_all();
}

void CheckpointWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return job_ || ending_; });
    if (!job_) return;
    lock.unlock();
    done_(write_job(files_, *job_));
    lock.lock();
    job_.reset();
    changed_.notify_all();
  }
}

}  // namespace cadre::run
