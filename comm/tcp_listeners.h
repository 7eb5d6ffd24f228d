// Where peers reach this process: sockets that listen, and their endpoints.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "comm/tcp_handshake.h"
#include "runtime/members.h"

namespace cadre::comm {

class TcpListeners {
 public:
  // On a port of the system's choice for each numeric address and, if wanted, on a Unix socket with a name of the
  // system's choice. RunError.
  TcpListeners(boost::asio::io_context& io, const std::vector<std::string>& addresses, bool unix_socket);

  const std::vector<runtime::Endpoint>& endpoints() const { return endpoints_; }  // the preferred one first
  std::list<boost::asio::ip::tcp::acceptor>& tcp() { return tcp_; }
  std::optional<boost::asio::local::stream_protocol::acceptor>& local() { return local_; }
  void close();

 private:
  void listen_at_address(boost::asio::io_context& io, const std::string& text);
  void listen_on_unix_socket(boost::asio::io_context& io);

  std::vector<runtime::Endpoint> endpoints_ = {};
  std::list<boost::asio::ip::tcp::acceptor> tcp_ = {};
  std::optional<boost::asio::local::stream_protocol::acceptor> local_ = {};
};

// nullopt: not a numeric address or a Unix socket's name.
std::optional<boost::asio::generic::stream_protocol::endpoint> to_socket_endpoint(const runtime::Endpoint& endpoint);
inline bool is_local(const runtime::Endpoint& endpoint) {
  return endpoint.address.starts_with('@');
}

}  // namespace cadre::comm
