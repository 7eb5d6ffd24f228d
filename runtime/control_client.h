// A rank's end of the control channel, on a thread of its own ("control"), so that heartbeats and fences pass while the
// main thread computes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/control_channel.h"
#include "runtime/error.h"
#include "runtime/messages.h"

namespace cadre::runtime {

// The coordinator cannot be reached, or not any more.
class ControlLost : public RunError {
 public:
  using RunError::RunError;
};

struct ControlClientOptions {
  std::vector<Endpoint> endpoints = {};  // the preferred one first
  std::string token = {};
  ChannelLimits limits = {};

  // Both are called on the control thread, and must not block, throw or call the client.
  //
  // For a Fence, a NewView, or an order to end: before next() can return it, so that what is aborted here is never what
  // the main thread began because of this message.
  std::function<void(const CoordinatorMessage&)> on_urgent = {};
  // The connection is lost for good; next() will throw. Not after finish().
  std::function<void()> on_lost = {};

  std::chrono::milliseconds connect_deadline{60000};  // for all attempts together: the coordinator may start later
  std::chrono::milliseconds attempt_deadline{5000};   // for one, handshake included
  std::chrono::milliseconds heartbeat{1000};
  std::chrono::milliseconds silence_limit{30000};  // the coordinator answers every heartbeat
};

class ControlClient {
 public:
  // Begins to connect, and returns. UserError for an endpoint that is none.
  explicit ControlClient(ControlClientOptions options);
  ~ControlClient();  // closes, whatever is queued
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  // From any thread; never blocks. Messages leave in order, the first ones when the connection is there; after its loss
  // they are dropped.
  void send(const MemberMessage& message);

  // The next message, in order; waits for one. ControlLost when the connection is lost and all that came before was
  // taken.
  CoordinatorMessage next();

  // Waits until the coordinator has taken all that was sent and closed, at most for `limit`. The end of this client.
  void finish(std::chrono::milliseconds limit);

 private:
  class Control;
  std::unique_ptr<Control> control_;
};

}  // namespace cadre::runtime
