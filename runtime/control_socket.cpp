#include "runtime/control_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <cstring>

#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::runtime {
namespace {

namespace asio = boost::asio;
using Address = asio::generic::stream_protocol::endpoint;

// Ranks of a large run connect at the same moment.
constexpr int kBacklog = 4096;

Endpoint endpoint_at(const Address& address) {
  char text[INET6_ADDRSTRLEN] = {};
  const sockaddr* const raw = address.data();
  if (raw->sa_family == AF_INET) {
    const auto* const four = reinterpret_cast<const sockaddr_in*>(raw);
    ::inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
    return {text, ntohs(four->sin_port)};
  }
  if (raw->sa_family == AF_INET6) {
    const auto* const six = reinterpret_cast<const sockaddr_in6*>(raw);
    ::inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
    return {text, ntohs(six->sin6_port)};
  }
  if (raw->sa_family == AF_UNIX && address.size() > offsetof(sockaddr_un, sun_path)) {
    const char* const path = reinterpret_cast<const sockaddr_un*>(raw)->sun_path;
    const std::size_t size = address.size() - offsetof(sockaddr_un, sun_path);
    if (path[0] != '\0') return {std::string(path, ::strnlen(path, size)), 0};
    return {'@' + std::string(path + 1, size - 1), 0};
  }
  return {};
}

}  // namespace

Address socket_address(const Endpoint& endpoint) {
  if (endpoint.address.starts_with('/') && endpoint.port == 0) {
    if (endpoint.address.size() >= sizeof(sockaddr_un::sun_path)) {
      throw UserError(say(in_quotes(endpoint.address), ": the path of a Unix socket has at most ",
                          sizeof(sockaddr_un::sun_path) - 1, " bytes"));
    }
    return asio::local::stream_protocol::endpoint(endpoint.address);
  }
  if (endpoint.address.starts_with('@') && endpoint.address.size() < sizeof(sockaddr_un::sun_path)) {
    std::string name = endpoint.address;
    name[0] = '\0';
    return asio::local::stream_protocol::endpoint(name);
  }
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(endpoint.address, error);
  if (error) {
    throw UserError(say(in_quotes(endpoint.address), ": expected a numeric address, or a Unix socket's path or name"));
  }
  return asio::ip::tcp::endpoint(address, endpoint.port);
}

std::string describe(const Address& address) {
  const Endpoint endpoint = endpoint_at(address);
  return endpoint.address.empty() ? "a Unix socket" : describe(endpoint);
}

std::string describe(const Endpoint& endpoint) {
  if (endpoint.address.starts_with('/') || endpoint.address.starts_with('@')) return endpoint.address;
  if (endpoint.address.find(':') != std::string::npos) return say("[", endpoint.address, "]:", endpoint.port);
  return say(endpoint.address, ":", endpoint.port);
}

int listen_on(const Endpoint& endpoint) {
  const Address address = socket_address(endpoint);
  const int family = address.data()->sa_family;
  const int listener = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  const auto fail = [&] {
    const std::string why = std::strerror(errno);
    if (listener >= 0) ::close(listener);
    throw RunError(say(describe(endpoint), ": cannot listen here: ", why));
  };
  if (listener < 0) fail();
  if (family == AF_INET6 && ::setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0) fail();
  if (family != AF_UNIX && ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) fail();
  if (::bind(listener, address.data(), static_cast<socklen_t>(address.size())) != 0) fail();
  if (endpoint.address.starts_with('/') && ::chmod(endpoint.address.c_str(), 0600) != 0) fail();
  if (::listen(listener, kBacklog) != 0) fail();
  return listener;
}

Endpoint endpoint_of(int listener) {
  Address address;
  auto size = static_cast<socklen_t>(address.capacity());
  CADRE_CHECK(::getsockname(listener, address.data(), &size) == 0, "listener = ", listener, ": ", std::strerror(errno));
  address.resize(size);
  return endpoint_at(address);
}

}  // namespace cadre::runtime
