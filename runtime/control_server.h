// The coordinator's end of the control channel: many ranks, one thread. Whoever does not prove that it knows the run's
// token is refused, counted, and costs the others nothing.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/connection.h"
#include "runtime/control_channel.h"
#include "runtime/messages.h"
#include "runtime/refusals.h"

namespace cadre::runtime {

// What the server tells, on the io_context's thread. For each connection: on_open, messages, on_close, in this order.
// Never called from inside a call to the server. What it throws comes out of io_context::run().
class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  virtual void on_open(Connection connection, const std::string& peer) = 0;
  virtual void on_message(Connection connection, MemberMessage message) = 0;
  virtual void on_close(Connection connection, ChannelEnd why) = 0;
  // In place of on_close: the relay that spoke for this rank is gone. The rank itself perhaps is not.
  virtual void on_detach(Connection connection, ChannelEnd why) { on_close(connection, why); }
};

struct ControlServerOptions {
  std::string token = {};
  std::vector<int> listeners = {};  // from listen_on(); the server owns them from here on
  ChannelLimits limits = {};
  // From connecting to the end of the handshake.
  std::chrono::milliseconds handshake_deadline{5000};
  std::size_t half_open = 256;  // connections that are not authenticated yet (half_open.h)
  std::chrono::milliseconds handshake_grace{250};
  Refusals::Tell tell_refusals = {};
  // From close() until a peer that does not close its end is cut off.
  std::chrono::milliseconds linger{5000};
};

class ControlServer {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `handler` must outlive the server.
  ControlServer(boost::asio::io_context& io, ControlServerOptions options, ControlHandler& handler);
  ~ControlServer();  // closes all, without on_close
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  const std::vector<Endpoint>& endpoints() const;

  // Never blocks. A connection that is gone is passed over; one whose queue is full is closed.
  void send(Connection connection, const CoordinatorMessage& message);
  // Encodes once.
  void broadcast(std::span<const Connection> connections, const CoordinatorMessage& message);
  // What was sent before still arrives; what comes from now on is dropped. on_close follows, as kClosedHere.
  void close(Connection connection);

  // When its last frame came; nothing when it is gone.
  std::optional<Time> silent_since(Connection connection) const;

  const Refusals& refusals() const;

 private:
  class Lines;
  std::shared_ptr<Lines> lines_;
};

}  // namespace cadre::runtime
