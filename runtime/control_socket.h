// Sockets of the control network: where to listen and connect, by TCP or by Unix socket.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <string>

#include "runtime/members.h"

namespace cadre::runtime {

// UserError when it is neither a numeric address nor a Unix socket's path or name.
boost::asio::generic::stream_protocol::endpoint socket_address(const Endpoint& endpoint);

// The inverse, for people: "10.0.0.1:4711", "[::1]:4711", a path, or "a Unix socket" for one without a name.
std::string describe(const boost::asio::generic::stream_protocol::endpoint& address);
std::string describe(const Endpoint& endpoint);

// A listening socket, close-on-exec; port 0 takes a free one. The file of a Unix socket must not be there yet and is
// for this user alone. RunError when it cannot be had.
int listen_on(const Endpoint& endpoint);

// Where a socket listens: with the port that it got.
Endpoint endpoint_of(int listener);

}  // namespace cadre::runtime
