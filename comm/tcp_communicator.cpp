#include "comm/tcp_communicator.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "comm/tcp_engine.h"
#include "comm/ticket_board.h"
#include "runtime/error.h"

namespace cadre::comm {
namespace {

class TcpCommunicator final : public Communicator {
 public:
  TcpCommunicator(std::shared_ptr<TcpEngine> engine, const runtime::View& view, std::size_t self)
      : engine_(std::move(engine)),
        board_(std::make_shared<TicketBoard>()),
        rank_(static_cast<int>(self)),
        size_(static_cast<int>(view.size())) {
    boost::asio::post(engine_->io(),
                      [engine = engine_.get(), board = board_, view, self] { engine->install(view, self, board); });
  }

  ~TcpCommunicator() override {
    abort("the communicator was destroyed");
    board_->wait_until_let_go();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Ticket start(Group group) override {
    for (const Send& send : group.sends) check_peer(send.to);
    for (const Receive& receive : group.receives) check_peer(receive.from);
    const std::size_t transfers = group.sends.size() + group.receives.size();
    const Ticket ticket = board_->open(transfers);
    if (transfers == 0) return ticket;
    boost::asio::post(engine_->io(), [engine = engine_.get(), board = board_, ticket, group = std::move(group)] {
      engine->begin(board, ticket, group);
    });
    return ticket;
  }

  void wait(Ticket ticket) override { board_->wait(ticket); }
  bool is_done(Ticket ticket) override { return board_->is_done(ticket); }

  void abort(const std::string& reason) noexcept override {
    board_->abort(reason);
    boost::asio::post(engine_->io(), [engine = engine_.get(), board = board_] { engine->release(board); });
  }

 private:
  void check_peer(int peer) const {
    CADRE_CHECK(peer >= 0 && peer < size_ && peer != rank_, "a transfer with ", peer, " by ", rank_, " of ", size_);
  }

  const std::shared_ptr<TcpEngine> engine_;  // lives on, stopped, when the transport goes first
  const std::shared_ptr<TicketBoard> board_;
  const int rank_;
  const int size_;
};

}  // namespace

std::unique_ptr<Communicator> make_tcp_communicator(std::shared_ptr<TcpEngine> engine, const runtime::View& view,
                                                    std::size_t self) {
  return std::make_unique<TcpCommunicator>(std::move(engine), view, self);
}

}  // namespace cadre::comm
