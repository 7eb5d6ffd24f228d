// What binds a rank of a user's own mpirun to the run's supervisor, beside the coordinator's control channel. Once MPI
// is over the rank connects, proves that it knows the run's token, and keeps the connection to its end: by it the rank
// gets its boot message when the run is set up, and at last its exit code, and tells of signals. One of the ranks also
// shows people what the supervisor says. Frames are JSON objects:
//
//   rank → supervisor   {"rank": 3} first; {"signal": 15}
//   supervisor → rank   {"boot": "…", "logs": "…"} once; {"text": "…"}; {"end": 75} last
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/boot.h"

namespace cadre::launch {

struct LifelineOptions {
  std::vector<runtime::Endpoint> endpoints = {};
  std::string token = {};
  std::uint32_t rank = 0;
  int terminal = 2;  // takes what people are told
};

// The rank's end, on a thread of its own ("lifeline"). SIGTERM, SIGINT and SIGHUP are told to the supervisor, and do
// nothing else, for as long as this lives.
class Lifeline {
 public:
  struct Start {
    Boot boot = {};
    std::filesystem::path logs = {};
  };

  explicit Lifeline(LifelineOptions options);
  ~Lifeline();
  Lifeline(const Lifeline&) = delete;
  Lifeline& operator=(const Lifeline&) = delete;

  // Waits for it, without a limit while the supervisor lives; nothing: there is no run to take part in.
  std::optional<Start> start();
  // Waits for it; nothing: the supervisor is gone. A process that has not ended some seconds after its supervisor said
  // this is ended from here: mpirun would wait for it for ever.
  std::optional<int> exit_code();
  // Why there is none of these.
  std::string loss() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cadre::launch
