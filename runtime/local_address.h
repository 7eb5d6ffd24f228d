// Which of this machine's addresses faces another one.
#pragma once

#include <string>
#include <vector>

#include "runtime/members.h"

namespace cadre::runtime {

// The numeric address that a connection to `endpoint` would have at this end: what to listen on for peers that share
// that network. Nothing is sent. RunError when there is no way to it.
std::string address_towards(const Endpoint& endpoint);

// Towards all of them, each address once; those that there is no way to are passed over. RunError when there is to
// none.
std::vector<std::string> addresses_towards(const std::vector<Endpoint>& endpoints);

}  // namespace cadre::runtime
