// A control server on a thread of its own, and what its handler was told.
#pragma once

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/control_client.h"
#include "runtime/control_server.h"
#include "runtime/control_socket.h"

namespace cadre::runtime {

inline constexpr const char* kToken = "a token of 32 random bytes......";
// A test that waits ends with what it waits for; this is how long a failing one takes.
inline constexpr std::chrono::seconds kFailAfter{20};

class Served : public ControlHandler {
 public:
  explicit Served(ControlServerOptions options = {}, const Endpoint& at = {"127.0.0.1", 0}) {
    options.token = kToken;
    options.listeners = {listen_on(at)};
    server_.emplace(io_, std::move(options), *this);
    endpoint_ = server_->endpoints().at(0);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Served() override {
    boost::asio::post(io_, [this] { server_.reset(); });
    thread_.join();
    if (endpoint_.port == 0) ::unlink(endpoint_.address.c_str());
  }

  Endpoint endpoint() const { return endpoint_; }
  ControlClientOptions options() const { return {.endpoints = {endpoint_}, .token = kToken}; }

  // Runs `work` on the server's thread and waits for it.
  void on_loop(const std::function<void(ControlServer&)>& work) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      work(*server_);
      done.set_value();
    });
    done.get_future().get();
  }

  void send(Connection connection, const CoordinatorMessage& message) {
    on_loop([&](ControlServer& server) { server.send(connection, message); });
  }

  std::uint64_t refused(ChannelEnd why) {
    std::uint64_t count = 0;
    on_loop([&](ControlServer& server) { count = server.refusals().of(why); });
    return count;
  }

  // Until `condition`, which sees what follows; false when that takes too long.
  template <typename Condition>
  [[nodiscard]] bool wait_for(const Condition& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kFailAfter, [&] { return condition(*this); });
  }

  // The connection that is opened first, or next after `others` of them.
  Connection connection(std::size_t others = 0) {
    Connection found{};
    if (!wait_for([&](const Served& it) { return it.opened.size() > others; })) throw std::runtime_error("none came");
    on_loop([&](ControlServer&) { found = opened[others]; });
    return found;
  }

  // Written on the server's thread, with the mutex.
  std::vector<Connection> opened;
  std::map<Connection, std::vector<MemberMessage>> messages;  // heartbeats left out
  std::map<Connection, int> heartbeats;
  std::map<Connection, ChannelEnd> closed, detached;

 private:
  void on_open(Connection connection, const std::string&) override {
    note([&] { opened.push_back(connection); });
  }
  void on_message(Connection connection, MemberMessage message) override {
    note([&] {
      if (std::holds_alternative<Heartbeat>(message)) {
        ++heartbeats[connection];
      } else {
        messages[connection].push_back(std::move(message));
      }
    });
  }
  void on_close(Connection connection, ChannelEnd why) override {
    note([&] { closed.emplace(connection, why); });
  }
  void on_detach(Connection connection, ChannelEnd why) override {
    note([&] { detached.emplace(connection, why); });
  }

  template <typename Change>
  void note(const Change& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  boost::asio::io_context io_{1};
  std::optional<ControlServer> server_;
  Endpoint endpoint_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace cadre::runtime
