#include "comm/tcp_listeners.h"

#include <sys/un.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <utility>

#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::comm {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using runtime::RunError;
using runtime::say;

}  // namespace

TcpListeners::TcpListeners(asio::io_context& io, const std::vector<std::string>& addresses, bool unix_socket) {
  if (unix_socket) listen_on_unix_socket(io);
  for (const std::string& address : addresses) listen_at_address(io, address);
}

void TcpListeners::listen_at_address(asio::io_context& io, const std::string& text) {
  error_code error;
  const asio::ip::address address = asio::ip::make_address(text, error);
  if (error) throw RunError(say("transport: ", runtime::in_quotes(text), " must be a numeric IPv4 or IPv6 address"));
  asio::ip::tcp::acceptor acceptor(io);
  const asio::ip::tcp::endpoint wanted(address, 0);
  acceptor.open(wanted.protocol(), error);
  if (!error && address.is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(wanted, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) throw RunError(say("transport: cannot listen on ", text, ": ", error.message()));
  endpoints_.push_back({.address = address.to_string(), .port = acceptor.local_endpoint().port()});
  tcp_.push_back(std::move(acceptor));
}

// Linux's "abstract" names: seen in this network namespace alone, where a peer that is elsewhere finds nobody.
void TcpListeners::listen_on_unix_socket(asio::io_context& io) {
  error_code error;
  local_.emplace(io);
  local_->open(asio::local::stream_protocol(), error);
  // Without a name the system chooses one: a zero byte, then what follows the '@' of the endpoint.
  if (!error) local_->bind(asio::local::stream_protocol::endpoint(""), error);
  if (!error) local_->listen(asio::socket_base::max_listen_connections, error);
  std::string name = error ? "" : local_->local_endpoint(error).path();
  if (!error && (name.size() < 2 || name[0] != '\0')) error = asio::error::address_family_not_supported;
  if (error) throw RunError(say("transport: cannot listen on a Unix socket: ", error.message()));
  name[0] = '@';
  endpoints_.push_back({.address = std::move(name), .port = 0});
}

void TcpListeners::close() {
  error_code ignored;
  for (auto& acceptor : tcp_) acceptor.close(ignored);
  if (local_) local_->close(ignored);
}

std::optional<asio::generic::stream_protocol::endpoint> to_socket_endpoint(const runtime::Endpoint& endpoint) {
  if (is_local(endpoint)) {
    if (endpoint.address.size() >= sizeof(sockaddr_un::sun_path)) return std::nullopt;
    std::string name = endpoint.address;
    name[0] = '\0';
    return asio::generic::stream_protocol::endpoint(asio::local::stream_protocol::endpoint(name));
  }
  error_code error;
  const asio::ip::address address = asio::ip::make_address(endpoint.address, error);
  if (error) return std::nullopt;
  return asio::generic::stream_protocol::endpoint(asio::ip::tcp::endpoint(address, endpoint.port));
}

}  // namespace cadre::comm
