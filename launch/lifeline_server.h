// The supervisor's end of its ranks' lifelines (lifeline.h), on a thread of its own ("lifelines"), since its main
// thread prepares data and runs the launcher.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "launch/boot.h"
#include "launch/listener.h"

namespace cadre::launch {

struct LifelineServerOptions {
  std::string token = {};
  std::vector<Listener> listeners = {};
  std::uint32_t ranks = 1;
  Descriptor text = {};  // what comes out of it is shown by the first rank that is there

  std::chrono::milliseconds handshake_limit{5'000};  // until a connection has said which rank it is
  std::chrono::milliseconds handshake_grace{250};    // of a silent one when others wait (runtime/half_open.h)
  std::chrono::milliseconds first_limit{60'000};     // until some rank is there
  std::chrono::milliseconds lonely_limit{10'000};    // without a rank
};

// A signal of a rank, the first of all, is raised in this process; so is SIGTERM when no rank is left: the launcher
// takes both as it takes those of a terminal.
class LifelineServer {
 public:
  explicit LifelineServer(LifelineServerOptions options);
  ~LifelineServer();  // closes all
  LifelineServer(const LifelineServer&) = delete;
  LifelineServer& operator=(const LifelineServer&) = delete;

  // To all ranks, those that come later too. The token is left out: they know it.
  void hand_out(Boot boot, const std::filesystem::path& logs);

  // After `text` was closed at its other end: tells the ranks how they end, and waits for that, within limits. First
  // the one that shows text: mpirun may kill the others, and what they had to say, as soon as one ends with another
  // code than 0.
  void finish(int exit_code);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cadre::launch
