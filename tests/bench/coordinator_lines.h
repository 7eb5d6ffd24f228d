// The lines between a coordinator and simulated ranks, as control_server.h and relay.h make them of bytes: messages,
// bundles of a host's ranks, a tag for each frame. Everything but the sockets.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/authentication.h"
#include "runtime/bundle.h"
#include "runtime/effects.h"

namespace cadre::runtime {

class CoordinatorLines {
 public:
  using Messages = std::vector<std::pair<Connection, MemberMessage>>;
  struct Frame {
    std::size_t line;
    FrameTag tag;
    std::string payload;
  };

  // Rank r of `ranks` is connection r + 1. With one rank a line each has its own; else that many share a relay's.
  CoordinatorLines(std::uint32_t ranks, std::uint32_t ranks_a_line);

  // At the ranks and relays: what they send together.
  void pack(const Messages& messages, std::vector<Frame>& frames);
  // At the coordinator.
  Messages unpack(const std::vector<Frame>& frames);
  // At the coordinator, up to the kernel; the number of bytes that it would get.
  std::uint64_t send(const Tell& tell);

 private:
  bool has_relays() const { return ranks_a_line_ > 1; }
  std::size_t line_of(Connection connection) const { return (connection - 1) / ranks_a_line_; }

  std::uint32_t ranks_a_line_;
  std::vector<FrameSealer> theirs_, incoming_, outgoing_;  // [line]
};

}  // namespace cadre::runtime
