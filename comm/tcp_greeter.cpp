#include "comm/tcp_greeter.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "comm/tcp_path.h"

namespace cadre::comm {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using runtime::ChannelEnd;
using runtime::HalfOpen;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptPause{100};  // when the process has no descriptors left

void rethrow(std::exception_ptr error) {
  if (error) std::rethrow_exception(error);  // to the thread's top
}

}  // namespace

struct TcpGreeter::Stranger {
  explicit Stranger(StreamSocket accepted) : socket(std::move(accepted)) {}

  void end(ChannelEnd why) {
    ended = why;
    error_code ignored;
    socket.close(ignored);
  }

  StreamSocket socket;
  std::optional<ChannelEnd> ended = {};  // by this side
};

TcpGreeter::TcpGreeter(asio::io_context& io, const TcpOptions& options, runtime::Refusals& refusals, Proven proven)
    : io_(io),
      options_(options),
      refusals_(refusals),
      proven_(std::move(proven)),
      listeners_(io, options.addresses, options.unix_socket),
      half_open_(std::make_shared<HalfOpen>(options.half_open, options.handshake_grace)) {}

void TcpGreeter::listen() {
  for (auto& acceptor : listeners_.tcp()) asio::co_spawn(io_, accept(acceptor), rethrow);
  if (listeners_.local()) asio::co_spawn(io_, accept(*listeners_.local()), rethrow);
}

void TcpGreeter::close() {
  listeners_.close();
  half_open_->close();
}

template <typename Acceptor>
asio::awaitable<void> TcpGreeter::accept(Acceptor& acceptor) {
  for (;;) {
    co_await HalfOpen::make_room(half_open_);
    if (!acceptor.is_open()) co_return;
    auto [error, accepted] = co_await acceptor.async_accept(kAwait);
    if (!acceptor.is_open()) co_return;
    if (error) {
      asio::steady_timer pause(io_, kAcceptPause);
      co_await pause.async_wait(kAwait);
      using boost::system::errc::errc_t;
      const auto is = [&error = error](errc_t what) {
        return error == boost::system::errc::make_error_condition(what);
      };
      const bool is_full = is(errc_t::too_many_files_open) || is(errc_t::too_many_files_open_in_system) ||
                           is(errc_t::no_buffer_space) || is(errc_t::not_enough_memory);
      if (is_full) half_open_->end_oldest();
      continue;
    }
    auto stranger = std::make_shared<Stranger>(std::move(accepted));
    prepare(stranger->socket.native_handle());
    half_open_->enter(stranger.get(), [stranger](ChannelEnd why) { stranger->end(why); });
    asio::co_spawn(io_, greet(std::move(stranger)), rethrow);
  }
}

asio::awaitable<void> TcpGreeter::greet(std::shared_ptr<Stranger> stranger) {
  asio::steady_timer deadline(io_, options_.handshake_deadline);
  deadline.async_wait([stranger](error_code error) {
    if (!error) stranger->end(ChannelEnd::kSilent);
  });
  Heard heard = co_await hear_claim(stranger->socket, options_.token);
  deadline.cancel();
  half_open_->leave(stranger.get());
  if (stranger->ended) heard = {.refusal = stranger->ended};
  if (heard.refusal) refusals_.count(*heard.refusal, std::chrono::steady_clock::now());
  if (heard.introduction) proven_(std::move(stranger->socket), std::move(*heard.introduction));
}

}  // namespace cadre::comm
