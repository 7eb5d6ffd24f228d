#include "launch/listener.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <memory>

#include "runtime/error.h"

namespace cadre::launch {
namespace {

using Address = boost::asio::ip::address;

constexpr int kBacklog = 1024;  // all ranks of a large run come at once

std::vector<Address> resolve(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &list); error != 0) {
    throw runtime::UserError("host " + host + ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> guard(list, freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    boost::asio::ip::tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
    endpoint.resize(one->ai_addrlen);
    addresses.push_back(endpoint.address());
  }
  return addresses;
}

std::vector<Address> own_addresses() {
  std::vector<Address> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> guard(list, freeifaddrs);
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    boost::asio::ip::tcp::endpoint endpoint;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const std::size_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::memcpy(endpoint.data(), one->ifa_addr, size);
    endpoint.resize(size);
    addresses.push_back(endpoint.address());
  }
  return addresses;
}

Descriptor open_socket(const Address& address, int type) {
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  Descriptor made(socket(family, type | SOCK_CLOEXEC, 0));
  if (!made) throw runtime::RunError(runtime::say("no socket can be made: ", std::strerror(errno)));
  return made;
}

// This machine's address on the way to `host`: what a datagram socket binds to when it is connected; nothing is sent.
Address address_towards(const std::string& host) {
  int error = EHOSTUNREACH;
  for (const Address& target : resolve(host)) {
    const Descriptor probe = open_socket(target, SOCK_DGRAM);
    const boost::asio::ip::tcp::endpoint there(target, 9);
    boost::asio::ip::tcp::endpoint here;
    socklen_t size = static_cast<socklen_t>(here.capacity());
    if (connect(probe.get(), there.data(), static_cast<socklen_t>(there.size())) == 0 &&
        getsockname(probe.get(), here.data(), &size) == 0) {
      here.resize(size);
      return here.address();
    }
    error = errno;
  }
  throw runtime::UserError("host " + host + " cannot be reached from here: " + std::strerror(error));
}

Listener listen_on(const Address& address) {
  Listener listener{open_socket(address, SOCK_STREAM), {}};
  boost::asio::ip::tcp::endpoint endpoint(address, 0);
  socklen_t size = static_cast<socklen_t>(endpoint.size());
  if (bind(listener.socket.get(), endpoint.data(), size) != 0 || listen(listener.socket.get(), kBacklog) != 0 ||
      getsockname(listener.socket.get(), endpoint.data(), &size) != 0) {
    throw runtime::RunError(runtime::say("cannot listen on ", address.to_string(), ": ", std::strerror(errno)));
  }
  listener.endpoint = {address.to_string(), endpoint.port()};
  return listener;
}

}  // namespace

bool is_this_machine(const std::string& host) {
  if (host.empty() || host == "localhost") return true;
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) == 0 && host == name) return true;
  const std::vector<Address> own = own_addresses(), theirs = resolve(host);
  return std::any_of(theirs.begin(), theirs.end(), [&](const Address& address) {
    return address.is_loopback() || std::find(own.begin(), own.end(), address) != own.end();
  });
}

std::vector<Listener> listen_towards(const std::vector<std::string>& hosts) {
  std::vector<Address> addresses;
  for (const std::string& host : hosts) {
    if (is_this_machine(host)) continue;
    const Address address = address_towards(host);
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
  }
  if (addresses.empty()) addresses.push_back(boost::asio::ip::address_v4::loopback());
  std::vector<Listener> listeners;
  for (const Address& address : addresses) listeners.push_back(listen_on(address));
  return listeners;
}

bool is_listening_towards(const std::string& host, const std::vector<runtime::Endpoint>& endpoints) {
  if (is_this_machine(host)) return true;
  const std::string address = address_towards(host).to_string();
  return std::any_of(endpoints.begin(), endpoints.end(),
                     [&](const runtime::Endpoint& endpoint) { return endpoint.address == address; });
}

std::vector<runtime::Endpoint> endpoints_of(const std::vector<Listener>& listeners) {
  std::vector<runtime::Endpoint> endpoints;
  for (const Listener& listener : listeners) endpoints.push_back(listener.endpoint);
  return endpoints;
}

}  // namespace cadre::launch
