// Those who connect to us, until they have proven the run's token. On the transport's I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "comm/tcp_handshake.h"
#include "comm/tcp_listeners.h"
#include "comm/tcp_transport.h"
#include "runtime/half_open.h"

namespace cadre::comm {

class TcpGreeter {
 public:
  using Proven = std::function<void(StreamSocket, Introduction)>;

  // `options` must outlive it. Whoever does not prove the token is closed and counted as refused.
  TcpGreeter(boost::asio::io_context& io, const TcpOptions& options, runtime::Refusals& refusals, Proven proven);

  void listen();
  void close();
  const std::vector<runtime::Endpoint>& endpoints() const { return listeners_.endpoints(); }  // any thread

 private:
  struct Stranger;

  template <typename Acceptor>
  boost::asio::awaitable<void> accept(Acceptor& acceptor);
  boost::asio::awaitable<void> greet(std::shared_ptr<Stranger> stranger);

  boost::asio::io_context& io_;
  const TcpOptions& options_;
  runtime::Refusals& refusals_;
  const Proven proven_;
  TcpListeners listeners_;
  std::shared_ptr<runtime::HalfOpen> half_open_;
};

}  // namespace cadre::comm
