#include "tests/unit/comm/transport_world.h"

#include <exception>
#include <future>

#include "tests/unit/comm/tcp_world.h"

namespace cadre::comm {

void together(const Communicators& communicators, const std::function<void(Communicator&)>& part) {
  std::vector<std::future<void>> parts;
  for (const auto& communicator : communicators) {
    parts.push_back(std::async(std::launch::async, [&part, &communicator] { part(*communicator); }));
  }
  std::exception_ptr first;
  for (auto& one : parts) {
    try {
      one.get();
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

std::vector<WorldFactory> world_factories() {
  return {{.name = "Tcp", .make = [](int size) { return std::make_unique<TcpWorld>(size, false); }},
          {.name = "Unix", .make = [](int size) { return std::make_unique<TcpWorld>(size, true); }}};
}

}  // namespace cadre::comm
