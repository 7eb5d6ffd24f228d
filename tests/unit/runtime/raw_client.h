// A client of the control channel that can break every rule of it.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "runtime/authentication.h"
#include "runtime/codec.h"
#include "runtime/control_socket.h"
#include "tests/unit/runtime/served.h"

namespace cadre::runtime {

inline std::string text_of(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A client made from the protocol's description alone.
class RawClient {
 public:
  explicit RawClient(const Endpoint& server) : socket_(io_) {
    socket_.connect(socket_address(server));
    hello_ = std::string("CADRE\n") + char{kProtocolVersion} + std::string("\x00\x01", 2) + text_of(random_bytes());
  }

  void say(const std::string& bytes) {
    boost::system::error_code gone;
    boost::asio::write(socket_, boost::asio::buffer(bytes), gone);
  }
  std::string hear(std::size_t size) {
    std::string bytes(size, '\0');
    boost::system::error_code end;
    bytes.resize(boost::asio::read(socket_, boost::asio::buffer(bytes), end));
    return bytes;
  }
  // True when the server closes; what it says before is dropped.
  bool hear_end() {
    std::string bytes(4096, '\0');
    pollfd ready{socket_.native_handle(), POLLIN, 0};
    const auto until = std::chrono::steady_clock::now() + kFailAfter;
    while (std::chrono::steady_clock::now() < until) {
      const int came = ::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kFailAfter).count()));
      if (came == 1 && ::recv(ready.fd, bytes.data(), bytes.size(), 0) <= 0) return true;
    }
    return false;
  }

  // With a `proof_of` another token, the server closes.
  void authenticate(const std::string& proof_of = kToken) {
    say(hello_);
    const std::string theirs = hear(hello_.size());
    const Key session = hmac_sha256(proof_of, hello_ + theirs);
    proof_ = text_of(hmac_sha256(session, "client"));
    say(proof_);
    EXPECT_TRUE(proof_of != kToken || hear(32) == text_of(hmac_sha256(session, "server")));
    sealer_.emplace(hmac_sha256(session, "frames of the client"));
  }
  std::string frame(const std::string& payload) {
    const auto length = static_cast<std::uint32_t>(payload.size());
    std::string header(4, '\0');
    std::memcpy(header.data(), &length, sizeof length);
    return header + text_of(sealer_->tag(header, payload)) + payload;
  }

  std::string hello_, proof_;

 private:
  boost::asio::io_context io_;
  ControlSocket socket_;
  std::optional<FrameSealer> sealer_;
};

}  // namespace cadre::runtime
