// Bytes between the ranks of one view. An algorithm sees groups of transfers and never a socket.
//
// A communicator belongs to one view and is used by one thread; only abort() may be called from another. Transfers are
// matched by order for each ordered pair of ranks: the n-th send of a to b meets the n-th receive of b from a, and both
// sides derive its size from the plan. No tags, no headers, nothing that NCCL could not have. Algorithms begin receives
// long before the sends that those depend on, so no transfer may hold up one of another pair or direction. On one NCCL
// communicator and stream it would: a transport of NCCL makes a communicator of two ranks and a stream for each ordered
// pair, on first use (ncclCommInitRankConfig, not blocking), and host_routes.h keeps the pairs few. A group is then
// ncclSend and ncclRecv on the streams of its pairs; start() lets these wait, by an event, for the caller's stream, so
// that buffers on a device are read and written in its order; wait() lets the caller's stream wait for them, polling
// ncclCommGetAsyncError; abort() is ncclCommAbort of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/members.h"

namespace cadre::comm {

// A peer is gone, silent or out of step; the communicator is of no more use.
class CommError : public std::runtime_error {
 public:
  CommError(int peer, const std::string& reason) : std::runtime_error(reason), peer_(peer) {}
  int peer() const { return peer_; }  // its number in the view; −1: not one peer's doing

 private:
  int peer_;
};

// abort() was called.
class Aborted : public CommError {
 public:
  explicit Aborted(const std::string& reason) : CommError(-1, reason) {}
};

struct Send {
  int to = 0;
  std::span<const std::byte> bytes = {};
};
struct Receive {
  int from = 0;
  std::span<std::byte> bytes = {};
};

// Transfers that make progress together. Buffers stay in place, and what is sent unchanged, until wait() has returned.
struct Group {
  std::vector<Send> sends = {};
  std::vector<Receive> receives = {};
};

class Communicator {
 public:
  using Ticket = std::uint64_t;
  virtual ~Communicator() = default;

  virtual int rank() const = 0;  // position among the view's members
  virtual int size() const = 0;

  // Begins a group and returns at once. Groups of one communicator begin in order, and several may be under way. A
  // transfer with oneself is a failed check; one of 0 bytes takes part in the order.
  virtual Ticket start(Group group) = 0;
  // Until all transfers of the group are done. CommError, Aborted.
  virtual void wait(Ticket ticket) = 0;
  // Whether they are; asked before wait(). Never of a group that failed or was aborted.
  virtual bool is_done(Ticket ticket) = 0;

  // Every wait that is under way or to come throws Aborted. From any thread, any number of times, never blocks.
  virtual void abort(const std::string& reason) noexcept = 0;
};

// What outlives views: listeners, connections between survivors, the threads that serve them.
class Transport {
 public:
  virtual ~Transport() = default;
  // Where peers reach it.
  virtual std::vector<runtime::Endpoint> endpoints() const = 0;
  // The communicator of `view`, of which this process is the member `self`. Connections are opened on first use. An
  // older communicator must have been aborted or be idle; its frames are fenced by the view's stamp.
  virtual std::unique_ptr<Communicator> communicator(const runtime::View& view, runtime::Rank self) = 0;
};

}  // namespace cadre::comm
