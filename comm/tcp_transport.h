// The transport for CPU tensors: TCP, and Unix sockets between processes of one host. No thread but its own, "transport
// I/O", touches a socket. Both ends of a connection prove that they hold the run's token before a frame is accepted.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "runtime/refusals.h"

namespace cadre::comm {

struct TcpOptions {
  std::string token = {};                              // the run's; bytes
  std::vector<std::string> addresses = {"127.0.0.1"};  // numeric; listened on, each at a port of its own, and no others
  // Also a Unix socket for peers of the same host. It has a name in the kernel and none on disk: nothing is left of it
  // when its process is killed.
  bool unix_socket = false;
  std::chrono::milliseconds handshake_deadline{5000};  // for who connects to us, until it has proven the token
  runtime::Refusals::Tell tell_refusals = {};          // on the I/O thread
  std::size_t half_open = 128;                         // who has not; see runtime/half_open.h
  std::chrono::milliseconds handshake_grace{250};
  std::chrono::milliseconds retry_limit{5000};       // for a peer that closes before it has proven the token
  std::chrono::milliseconds connect_deadline{5000};  // for an address that does not answer, until the next is tried
  std::chrono::milliseconds drain_deadline{5000};    // for the rest of a frame after an abort
};

struct TcpCounters {
  std::uint64_t refused = 0;         // connections: garbage, another token, another incarnation, silence
  std::uint64_t dropped_frames = 0;  // of older or ended views
  std::uint64_t established = 0;     // connections that became usable
};

class TcpTransport : public Transport {
 public:
  virtual TcpCounters counters() const = 0;
};

// Listens at once. RunError when it cannot.
std::unique_ptr<TcpTransport> make_tcp_transport(TcpOptions options);

}  // namespace cadre::comm
