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
  // On a port of the system's choice for each numeric address and, with a folder, on a Unix socket in it. RunError.
  TcpListeners(boost::asio::io_context& io, const std::vector<std::string>& addresses, const std::string& unix_folder);
  ~TcpListeners();  // removes the Unix socket
  TcpListeners(const TcpListeners&) = delete;
  TcpListeners& operator=(const TcpListeners&) = delete;

  const std::vector<runtime::Endpoint>& endpoints() const { return endpoints_; }  // the preferred one first
  std::list<boost::asio::ip::tcp::acceptor>& tcp() { return tcp_; }
  std::optional<boost::asio::local::stream_protocol::acceptor>& local() { return local_; }
  void close();

 private:
  void listen_at_address(boost::asio::io_context& io, const std::string& text);
  void listen_in_folder(boost::asio::io_context& io, const std::string& folder);

  std::vector<runtime::Endpoint> endpoints_ = {};
  std::list<boost::asio::ip::tcp::acceptor> tcp_ = {};
  std::optional<boost::asio::local::stream_protocol::acceptor> local_ = {};
  std::string socket_path_ = {};
};

// nullopt: not a numeric address or an absolute path.
std::optional<boost::asio::generic::stream_protocol::endpoint> to_socket_endpoint(const runtime::Endpoint& endpoint);
inline bool is_local(const runtime::Endpoint& endpoint) {
  return endpoint.address.starts_with('/');
}

}  // namespace cadre::comm
