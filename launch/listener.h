// Where the coordinator listens: bound by the launcher, so that a coordinator that is started again keeps the port.
#pragma once

#include <string>
#include <vector>

#include "launch/child_process.h"
#include "runtime/members.h"

namespace cadre::launch {

struct Listener {
  Descriptor socket;
  runtime::Endpoint endpoint;
};

// Whether `host` is this machine: empty, a loopback address, its own name, or a name of one of its addresses.
bool is_this_machine(const std::string& host);

// One listening TCP socket for each address of this machine from which some of `hosts` are reached; loopback when all
// are this machine. UserError: a host that does not resolve or has no route. RunError: the system refuses a socket.
std::vector<Listener> listen_towards(const std::vector<std::string>& hosts);

// Whether some of `endpoints` is the address of this machine from which `host` is reached. UserError as above.
bool is_listening_towards(const std::string& host, const std::vector<runtime::Endpoint>& endpoints);

std::vector<runtime::Endpoint> endpoints_of(const std::vector<Listener>& listeners);

}  // namespace cadre::launch
