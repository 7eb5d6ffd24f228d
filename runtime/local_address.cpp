#include "runtime/local_address.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include "runtime/error.h"

namespace cadre::runtime {

std::string address_towards(const Endpoint& endpoint) {
  namespace ip = boost::asio::ip;
  if (endpoint.address.starts_with('/')) return "127.0.0.1";  // a Unix socket: the same machine
  try {
    boost::asio::io_context io;
    const ip::udp::endpoint peer(ip::make_address(endpoint.address), endpoint.port);
    ip::udp::socket socket(io, peer.protocol());
    socket.connect(peer);  // of a datagram socket: only chooses the route
    return socket.local_endpoint().address().to_string();
  } catch (const boost::system::system_error& error) {
    throw RunError(say(endpoint.address, ": no way to this address: ", error.code().message()));
  }
}

std::vector<std::string> addresses_towards(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> addresses;
  std::string problem = "no address is given";
  for (const Endpoint& endpoint : endpoints) {
    try {
      const std::string address = address_towards(endpoint);
      if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
    } catch (const RunError& error) {
      problem = error.what();
    }
  }
  if (addresses.empty()) throw RunError(problem);
  return addresses;
}

}  // namespace cadre::runtime
