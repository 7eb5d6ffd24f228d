// The communicator's side of the TCP transport: checks groups, hands them to the I/O thread and waits.
#pragma once

#include <cstddef>
#include <memory>

#include "comm/communicator.h"

namespace cadre::comm {

class TcpEngine;

std::unique_ptr<Communicator> make_tcp_communicator(std::shared_ptr<TcpEngine> engine, const runtime::View& view,
                                                    std::size_t self);

}  // namespace cadre::comm
