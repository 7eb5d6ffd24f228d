#include "tests/unit/comm/transport_world.h"

#include "tests/unit/comm/tcp_world.h"

namespace cadre::comm {

std::vector<WorldFactory> world_factories() {
  return {{.name = "Tcp", .make = [](int size) { return std::make_unique<TcpWorld>(size, false); }},
          {.name = "Unix", .make = [](int size) { return std::make_unique<TcpWorld>(size, true); }}};
}

}  // namespace cadre::comm
