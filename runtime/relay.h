// Speaks to the coordinator for the ranks of one host: their connections end here, and what they say goes on in bundles
// (bundle.h) over one. It keeps nothing: when it dies, its ranks turn to the coordinator themselves.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "runtime/control_channel.h"
#include "runtime/members.h"

namespace cadre::runtime {

struct RelayOptions {
  std::vector<Endpoint> coordinator = {};  // the preferred one first
  std::string token = {};                  // the run's, of ranks and coordinator alike
  int listener = -1;                       // from listen_on(); the relay owns it
  ChannelLimits limits = {};

  std::chrono::milliseconds connect_deadline{20000};  // to the coordinator, for all attempts together
  std::chrono::milliseconds handshake_deadline{5000};
  std::chrono::milliseconds idle{60000};     // that it waits for its first rank
  std::chrono::milliseconds gathering{200};  // that heartbeats wait for others; all else goes on at once
  std::chrono::milliseconds heartbeat{1000};
  std::chrono::milliseconds silence_limit{30000};  // of the coordinator
};

class Relay {
 public:
  // UserError for an endpoint that is none.
  explicit Relay(RelayOptions options);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Until its last rank has gone, the coordinator is lost or does not come, or no rank comes.
  void run();

 private:
  class Lines;
  std::unique_ptr<Lines> lines_;
};

}  // namespace cadre::runtime
