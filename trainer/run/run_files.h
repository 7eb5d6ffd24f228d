// The files of the run as this rank reaches them: in the run's folder, where this host shares it with the launch node;
// else through the launch node's file server, with copies in a folder of this host that last as long as they are read.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/checkpoint_store.h"
#include "runtime/file_client.h"
#include "runtime/messages.h"
#include "runtime/shared_copy.h"
#include "trainer/data/dataset.h"
#include "trainer/run/state_shards.h"

namespace cadre::run {

// Of folders of this host that hold what is on its way to the launch node: where the system keeps what is temporary.
std::filesystem::path scratch_stem();

class RunFiles {
 public:
  RunFiles(std::filesystem::path folder, std::string token);

  // What a Join says, so that the coordinator can tell whether the folder is shared; Welcome is its answer.
  std::string leave_proof();
  void welcome(const runtime::Welcome& answer);
  bool are_shared() const;

  // Where they are not shared. A connection for one thread; RunError when there is no way to the launch node.
  std::unique_ptr<runtime::FileClient> connect(std::chrono::milliseconds patience = std::chrono::seconds(10)) const;
  // `work` with a connection; when it is lost again with another one, up to a minute after that. With a coordinator its
  // file server is gone, and what the next one says interrupts: `check` is called meanwhile, and may throw.
  void connected(const std::function<void(runtime::FileClient&)>& work, const std::function<void()>& check) const;
  // For the copies of `what` that all ranks of this host read.
  std::filesystem::path place_of_copies(const std::string& what) const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  std::string token_, proof_;
  mutable std::mutex mutex_;  // Welcome comes to the main thread, while another writes a checkpoint
  bool are_shared_ = true;
  std::vector<runtime::Endpoint> servers_;
};

// A checkpoint that this rank can read: the one in the run's folder, or this host's copy of it.
class CheckpointHere {
 public:
  // UserError: no usable manifest. RunError: it is not to be had, or there is no room for the copy. `check` is called
  // again and again while it is copied, and may throw.
  CheckpointHere(const RunFiles& files, const std::filesystem::path& checkpoint, const std::function<void()>& check);
  const std::filesystem::path& folder() const { return folder_; }
  const runtime::Manifest& manifest() const { return manifest_; }

 private:
  std::optional<runtime::SharedCopy> copy_;
  std::filesystem::path folder_;
  runtime::Manifest manifest_;
};

// The shard of a checkpoint, in `folder` of the launch node. RunError when it or the way to it refuses.
runtime::Shard write_shard(const RunFiles& files, const std::filesystem::path& folder, const std::string& name,
                           const StateSnapshot& snapshot);

// The entry `key` of the launch node's prepared cache in `folder`; nothing: it has none that is whole, and `problem`
// says why.
std::optional<data::Prepared> fetch_prepared(const RunFiles& files, const std::filesystem::path& folder,
                                             const std::string& key, std::string& problem);

}  // namespace cadre::run
