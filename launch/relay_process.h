// The relay of a host's ranks (runtime/relay.h) as a process of its own, which outlives each of them.
#pragma once

#include "launch/boot.h"
#include "runtime/members.h"

namespace cadre::launch {

// Where the relay of this island's ranks on this host listens: a name that is known to who has the token.
runtime::Endpoint relay_endpoint(const Boot& boot);

// Starts it. Without one the ranks turn to the coordinator themselves, so that a failure is told on stderr and no more.
void start_relay(const Boot& boot);

}  // namespace cadre::launch
