#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "runtime/codec.h"
#include "runtime/control_client.h"
#include "runtime/control_server.h"
#include "runtime/control_socket.h"

namespace cadre::runtime {
namespace {

using namespace std::chrono_literals;

// A server on a thread of its own, and what its handler was told. Waits end with what is waited for; the limit is for a
// test that fails.
class Served : public ControlHandler {
 public:
  explicit Served(ControlServerOptions options = {}) {
    if (options.token.empty()) options.token = kToken;
    options.listeners = {listen_on({"127.0.0.1", 0})};
    server_.emplace(io_, std::move(options), *this);
    endpoint_ = server_->endpoints().at(0);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Served() override {
    on_loop([this] { server_.reset(); });
    thread_.join();
  }

  static constexpr const char* kToken = "a token of 32 random bytes......";

  Endpoint endpoint() const { return endpoint_; }
  ControlClientOptions options() const { return {.endpoints = {endpoint_}, .token = kToken}; }

  // Runs `work` on the server's thread and waits for it.
  void on_loop(const std::function<void()>& work) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }

  void broadcast(const std::vector<Connection>& connections, const CoordinatorMessage& message) {
    on_loop([&] { server_->broadcast(connections, message); });
  }

  std::uint64_t ended(ChannelEnd why) {
    std::uint64_t count = 0;
    on_loop([&] { count = server_->ended(why); });
    return count;
  }

  template <typename Condition>
  [[nodiscard]] bool wait_for(const Condition& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return condition(*this); });
  }

  void on_open(Connection connection, const std::string&) override {
    note([&] { open.push_back(connection); });
  }
  void on_message(Connection connection, MemberMessage message) override {
    note([&] {
      if (!std::holds_alternative<Heartbeat>(message)) messages[connection].push_back(std::move(message));
    });
    if (answer) answer(*server_, connection);
  }
  void on_close(Connection connection, ChannelEnd why) override {
    note([&] { closed[connection] = why; });
  }

  std::function<void(ControlServer&, Connection)> answer = {};

  // Guarded by the mutex while the server runs.
  std::vector<Connection> open;
  std::map<Connection, std::vector<MemberMessage>> messages;
  std::map<Connection, ChannelEnd> closed;

 private:
  void note(const std::function<void()>& change) {
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

TEST(Control, MessagesGoBothWaysInOrder) {
  Served served;
  ControlClient client(served.options());
  for (std::uint32_t i = 0; i < 100; ++i) client.send(Note{false, std::to_string(i)});
  ASSERT_TRUE(served.wait_for(
      [](const Served& it) { return it.messages.size() == 1 && it.messages.begin()->second.size() == 100; }));
  const auto& [connection, notes] = *served.messages.begin();
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(std::get<Note>(notes[i]).text, std::to_string(i));
  for (std::uint64_t i = 0; i < 100; ++i) served.broadcast({connection}, Fence{{1, 0, i}});
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(std::get<Fence>(client.next()).stamp.view, i);
}

}  // namespace
}  // namespace cadre::runtime
