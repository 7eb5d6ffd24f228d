// An authenticated connection to one peer: cuts messages into frames and puts them together, without copies.
//
// Owned and used by the transport's I/O thread alone. Sockets are non-blocking and read and written here directly when
// Asio says that they are ready: no operation in flight holds a caller's buffer, so leave() can let go of them at once.
#pragma once

#include <sys/uio.h>

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/tcp_frame.h"
#include "comm/tcp_handshake.h"

namespace cadre::comm {

// The transfers with one peer in one view that are still to be done, in order.
struct Lane {
  struct Outgoing {
    std::span<const std::byte> bytes;
    Communicator::Ticket ticket;
    std::size_t done = 0;
  };
  struct Incoming {
    std::span<std::byte> bytes;
    Communicator::Ticket ticket;
    std::size_t done = 0;
  };
  std::deque<Outgoing> outgoing = {};
  std::deque<Incoming> incoming = {};
  std::uint64_t sent = 0;      // messages
  std::uint64_t received = 0;  // messages
  bool moved = false;          // a frame of this view was begun: a new connection could not continue

  bool idle() const { return outgoing.empty() && incoming.empty(); }
};

class TcpConnection : public std::enable_shared_from_this<TcpConnection> {
 public:
  enum class Loss {
    kClosed,    // by the peer, the system or the deadline of leave()
    kUnusable,  // by us: what the peer sent is damaged or no frame
  };
  // The owner. May call leave() and close() from within these.
  class Events {
   public:
    virtual void transfer_done(Communicator::Ticket ticket) = 0;
    virtual void frame_dropped() = 0;
    // The peer's message is not the one that was posted; the connection itself is in order.
    virtual void out_of_step(TcpConnection& connection, const std::string& reason) = 0;
    virtual void lost(TcpConnection& connection, Loss loss, const std::string& reason) = 0;  // it is closed

   protected:
    ~Events() = default;
  };

  // A frame of an ended view that is not finished within `drain_deadline` costs the connection.
  TcpConnection(StreamSocket socket, Events& events, std::chrono::milliseconds drain_deadline);

  // Frames of an older stamp are dropped from here on, those of a newer one left in the socket. `lane` outlives the
  // connection or the next leave().
  void enter(runtime::Stamp stamp, Lane& lane);
  // Lets go of the lane and of all buffers; frames of its stamp are dropped, those under way too. One that is going out
  // is finished from a copy.
  void leave();
  // The lane has new transfers.
  void progress();
  void close();  // no events follow

 private:
  void read();
  void write();
  bool begin_incoming();  // false: to be left in the socket, or lost
  void finish_incoming();
  void begin_outgoing();
  void finish_outgoing();
  bool in_mid_frame() const { return in_frame_.has_value() || header_bytes_ > 0 || out_active_; }
  void wait_readable();
  void wait_writable();
  void watch_draining();
  void watch_path();
  void lose(const std::string& reason, Loss loss = Loss::kClosed);

  StreamSocket socket_;
  Events& events_;
  std::chrono::milliseconds drain_deadline_;
  boost::asio::steady_timer drain_timer_, path_timer_;
  bool closed_ = false;
  bool waits_readable_ = false;
  bool waits_writable_ = false;
  runtime::Stamp stamp_ = {};
  Lane* lane_ = nullptr;

  FrameHeaderBytes header_ = {};  // of the next frame, as far as it has come
  std::size_t header_bytes_ = 0;
  bool held_ = false;                    // header_ is whole and its payload must stay in the socket for now
  std::optional<FrameHeader> in_frame_;  // the frame whose payload is being read
  std::size_t in_done_ = 0;
  std::byte* target_ = nullptr;        // where its payload belongs; nullptr: nowhere
  std::uint64_t frames_finished_ = 0;  // both directions

  bool out_active_ = false;
  FrameHeaderBytes out_header_ = {};
  std::span<const std::byte> out_payload_ = {};
  std::size_t out_done_ = 0;          // of header and payload together
  std::vector<std::byte> rest_ = {};  // of a frame whose buffer was let go of
  bool out_orphaned_ = false;
};

}  // namespace cadre::comm
