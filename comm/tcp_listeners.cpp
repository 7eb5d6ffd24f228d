#include "comm/tcp_listeners.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <cstring>

#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::comm {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using runtime::RunError;
using runtime::say;

constexpr std::size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;

std::atomic<unsigned> sockets_made{0};  // so that transports of one process have sockets of their own

}  // namespace

TcpListeners::TcpListeners(asio::io_context& io, const std::vector<std::string>& addresses,
                           const std::string& unix_folder) {
  if (!unix_folder.empty()) listen_in_folder(io, unix_folder);
  for (const std::string& address : addresses) listen_at_address(io, address);
}

TcpListeners::~TcpListeners() {
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
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

void TcpListeners::listen_in_folder(asio::io_context& io, const std::string& folder) {
  const auto fail = [&](const std::string& why) {
    throw RunError(say("transport: Unix socket folder ", runtime::in_quotes(folder), ": ", why));
  };
  if (!folder.starts_with('/')) fail("must be an absolute path");
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail(std::strerror(errno));
  struct stat info = {};
  if (::lstat(folder.c_str(), &info) != 0) fail(std::strerror(errno));
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    fail("must be a directory of this user's, with mode 0700");
  }
  const std::string path = say(folder, "/", ::getpid(), ".", sockets_made++);
  if (path.size() > kMaxPathBytes) fail(say("is too long for a socket's path of at most ", kMaxPathBytes, " bytes"));
  ::unlink(path.c_str());  // left by a dead process of the same number
  error_code error;
  local_.emplace(io);
  local_->open(asio::local::stream_protocol(), error);
  if (!error) local_->bind(asio::local::stream_protocol::endpoint(path), error);
  if (!error) local_->listen(asio::socket_base::max_listen_connections, error);
  if (error) fail(error.message());
  socket_path_ = path;
  endpoints_.push_back({.address = path, .port = 0});
}

void TcpListeners::close() {
  error_code ignored;
  for (auto& acceptor : tcp_) acceptor.close(ignored);
  if (local_) local_->close(ignored);
}

std::optional<asio::generic::stream_protocol::endpoint> to_socket_endpoint(const runtime::Endpoint& endpoint) {
  if (is_local(endpoint)) {
    if (endpoint.address.size() > kMaxPathBytes) return std::nullopt;
    return asio::generic::stream_protocol::endpoint(asio::local::stream_protocol::endpoint(endpoint.address));
  }
  error_code error;
  const asio::ip::address address = asio::ip::make_address(endpoint.address, error);
  if (error) return std::nullopt;
  return asio::generic::stream_protocol::endpoint(asio::ip::tcp::endpoint(address, endpoint.port));
}

}  // namespace cadre::comm
