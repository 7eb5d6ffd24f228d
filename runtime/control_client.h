// A rank's end of the control channel, on a thread of its own ("control"), so that heartbeats and fences pass while the
// main thread computes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
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
  // The relay of this host, which may start later: tried alone for `relay_patience`. Once it is lost, or where it does
  // not come, the endpoints are.
  std::optional<Endpoint> relay = {};
  std::chrono::milliseconds relay_patience{5000};
  std::string token = {};
  ChannelLimits limits = {};

  // Both are called on the control thread, and must not block, throw or call the client.
  //
  // For a Fence, a NewView, or an order to end: before next() can return it, so that what is aborted here is never what
  // the main thread began because of this message.
  std::function<void(const CoordinatorMessage&)> on_urgent = {};
  // The connection is lost and none could be made anew: next() will throw. Not after finish().
  std::function<void()> on_lost = {};

  std::chrono::milliseconds connect_deadline{60000};  // for all attempts together: the coordinator may start later
  // Likewise after a loss: the coordinator's supervisor starts it again within a second.
  std::chrono::milliseconds reconnect_deadline{30000};
  // While a coordinator is to be started again, its supervisor listens: when nobody does, the run is over.
  std::chrono::milliseconds nobody_deadline{2000};
  std::chrono::milliseconds attempt_deadline{5000};  // for one, handshake included
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

  // What is sent first on each connection from now on: who this rank is. The first one of all leaves as soon as there
  // is a connection, a later one when a connection takes the place of one that was lost. Without it none does.
  void introduce(const MemberMessage& message);

  // From any thread; never blocks. Messages leave in order; those that have no connection wait for the next one. What a
  // lost connection has not delivered is lost, but for a Failed, which is said again.
  void send(const MemberMessage& message);

  // The next message, in order; waits for one. ControlLost when the connection is lost for good and all that came
  // before was taken. What a coordinator of an earlier term says is dropped.
  CoordinatorMessage next();

  // Waits until the coordinator has taken all that was sent and closed, at most for `limit`. The end of this client.
  void finish(std::chrono::milliseconds limit);

 private:
  class Control;
  std::unique_ptr<Control> control_;
};

}  // namespace cadre::runtime
