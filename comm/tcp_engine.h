// What the transport's I/O thread does: accepts and opens connections, and gives each peer's transfers to its
// connection. Everything below runs on that thread; others reach it by posting to its io_context.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/tcp_connection.h"
#include "comm/tcp_greeter.h"
#include "comm/tcp_handshake.h"
#include "comm/tcp_transport.h"
#include "comm/ticket_board.h"
#include "runtime/members.h"

namespace cadre::comm {

class TcpEngine final : private TcpConnection::Events {
 public:
  explicit TcpEngine(TcpOptions options);

  boost::asio::io_context& io() { return io_; }
  const std::vector<runtime::Endpoint>& endpoints() const { return greeter_.endpoints(); }  // any thread
  TcpCounters counters() const {
    TcpCounters counters = counters_;
    counters.refused = refusals_.all();
    return counters;
  }

  void listen() { greeter_.listen(); }
  // From here on `board`'s transfers are served, and those of the view before it are not.
  void install(const runtime::View& view, std::size_t self, std::shared_ptr<TicketBoard> board);
  void begin(const std::shared_ptr<TicketBoard>& board, Communicator::Ticket ticket, const Group& group);
  // After an abort: lets go of the communicator's buffers.
  void release(const std::shared_ptr<TicketBoard>& board);
  void fail(int peer, const std::string& reason);
  void close(const std::string& reason);

 private:
  // An outgoing connection that is not usable yet.
  struct Attempt {
    explicit Attempt(boost::asio::io_context& io) : socket(io), timer(io) {}
    StreamSocket socket;
    boost::asio::steady_timer timer;
    bool connected = false;  // the handshake is under way
    bool cancelled = false;
    std::uint64_t tried = 0;  // so that a late deadline closes no later try's socket
    std::string last_failure = {};
  };
  // A peer of the installed view.
  struct Link {
    runtime::Member member = {};
    std::size_t index = 0;
    Lane lane = {};
    std::shared_ptr<TcpConnection> connection = {};
    std::shared_ptr<Attempt> attempt = {};
    int reopened = 0;  // in this view
  };
  // A claim of a view that is not installed yet, or before any is.
  struct Waiting {
    StreamSocket socket;
    Introduction introduction;
  };
  enum class Outcome { kEnded, kAgain, kFailed };

  void transfer_done(Communicator::Ticket ticket) override;
  void frame_dropped() override { ++counters_.dropped_frames; }
  void out_of_step(TcpConnection& connection, const std::string& reason) override;
  void lost(TcpConnection& connection, TcpConnection::Loss loss, const std::string& reason) override;

  void hear(StreamSocket socket, Introduction introduction);
  void judge(StreamSocket socket, const Introduction& introduction);

  void need_connection(Link& link);
  boost::asio::awaitable<void> open(runtime::Rank rank, std::shared_ptr<Attempt> attempt);
  boost::asio::awaitable<Outcome> try_endpoint(runtime::Rank rank, std::shared_ptr<Attempt> attempt,
                                               runtime::Endpoint endpoint);
  void adopt(Link& link, StreamSocket socket);
  void cancel(Link& link);
  Link* link_of(const TcpConnection& connection);
  void let_go();
  template <typename Awaitable>
  void spawn(Awaitable awaitable);

  const TcpOptions options_;
  boost::asio::io_context io_{1};
  TcpCounters counters_ = {};
  runtime::Refusals refusals_;
  TcpGreeter greeter_;
  std::map<runtime::Rank, Waiting> waiting_ = {};

  runtime::View view_ = {};
  std::size_t self_ = 0;
  std::shared_ptr<TicketBoard> board_ = {};  // null: no communicator is served
  std::map<runtime::Rank, std::unique_ptr<Link>> links_ = {};
};

}  // namespace cadre::comm
