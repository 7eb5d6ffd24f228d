#include "runtime/control_client.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/codec.h"
#include "runtime/control_socket.h"
#include "runtime/quiet_thread.h"

namespace cadre::runtime {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{20}, kLongestPause{500};
// Far more than one step's orders: a main thread that takes none of them is lost.
constexpr std::size_t kMostUntaken = 10000;

}  // namespace

class ControlClient::Control {
 public:
  explicit Control(ControlClientOptions options) : options_(std::move(options)), io_(1), deadline_(io_), pause_(io_) {
    for (const Endpoint& endpoint : options_.endpoints) addresses_.push_back(socket_address(endpoint));
    if (options_.relay) relay_ = socket_address(*options_.relay);
    const auto on_end = [this](std::exception_ptr error) { ended(error); };
    asio::co_spawn(io_, live(), on_end);
    thread_ = start_quiet_thread("control", [this] { run(); });
  }

  ~Control() {
    io_.stop();
    thread_.join();
  }

  void introduce(std::string payload) {
    auto frame = std::make_shared<const std::string>(std::move(payload));
    asio::post(io_, [this, frame = std::move(frame)] {
      if (authenticated_ && introduction_ == nullptr) channel_->send(frame);
      introduction_ = frame;
    });
  }

  void send(std::string payload, bool again) {
    auto frame = std::make_shared<const std::string>(std::move(payload));
    asio::post(io_, [this, frame = std::move(frame), again] {
      if (again) said_again_ = frame;
      if (authenticated_) {
        channel_->send(frame);
      } else {
        waiting_.push_back(frame);
      }
    });
  }

  CoordinatorMessage next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !inbox_.empty() || lost_; });
    if (inbox_.empty()) throw ControlLost(*lost_);
    CoordinatorMessage message = std::move(inbox_.front());
    inbox_.pop_front();
    return message;
  }

  void finish(std::chrono::milliseconds limit) {
    asio::post(io_, [this] {
      finishing_ = true;
      if (authenticated_) channel_->end_when_sent();
    });
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, limit, [this] { return lost_.has_value(); });
  }

 private:
  // The thread.
  void run() {
    try {
      io_.run();
    } catch (...) {
      ended(std::current_exception());
    }
  }

  // One connection after the other, until there shall be or can be no other.
  asio::awaitable<void> live() {
    const bool has_relay = co_await connect_to_relay();
    if (!has_relay) co_await connect(options_.connect_deadline, options_.connect_deadline);
    for (;;) {
      std::optional<ChannelEnd> end;
      try {
        co_await serve();
      } catch (const ChannelError& error) {
        if (finishing_ || is_refused_ || introduction_ == nullptr) throw;
        end = error.end();
      }
      authenticated_ = false;
      deadline_.cancel();
      co_await reconnect(*end);
    }
  }

  asio::awaitable<void> reconnect(ChannelEnd end) {
    try {
      co_await connect(options_.reconnect_deadline, options_.nobody_deadline);
    } catch (const ControlLost& lost) {
      throw ControlLost(say("the connection to the coordinator is lost: ", describe(end), "; ", lost.what()));
    }
    if (said_again_ != nullptr) waiting_.insert(waiting_.begin(), said_again_);
  }

  // One connection, to its end.
  asio::awaitable<void> serve() {
    authenticated_ = true;
    if (introduction_ != nullptr) channel_->send(introduction_);
    for (const auto& frame : std::exchange(waiting_, {})) channel_->send(frame);
    if (finishing_) channel_->end_when_sent();
    heard_ = Clock::now();
    beat();
    for (;;) {
      const std::string_view frame = co_await channel_->receive();
      heard_ = Clock::now();
      if (!frame.empty()) take(frame);
    }
  }

  asio::awaitable<bool> connect_to_relay() {
    const Clock::time_point until = Clock::now() + options_.relay_patience;
    boost::system::error_code error;
    while (relay_ && Clock::now() < until) {
      const std::string failure = co_await attempt(*relay_);
      if (failure.empty()) co_return true;
      pause_.expires_after(kFirstPause);
      co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
    co_return false;
  }

  // `nobody_limit`: while nobody listens at any address.
  asio::awaitable<void> connect(std::chrono::milliseconds limit, std::chrono::milliseconds nobody_limit) {
    const Clock::time_point until = Clock::now() + limit;
    somebody_listened_ = Clock::now();
    std::chrono::milliseconds pause = kFirstPause;
    boost::system::error_code error;
    for (;;) {
      std::string failures;
      for (std::size_t i = 0; i < addresses_.size(); ++i) {
        const std::string failure = co_await attempt(addresses_[i]);
        if (failure.empty()) co_return;
        failures += say(failures.empty() ? "" : "; ", describe(options_.endpoints[i]), ": ", failure);
      }
      const bool is_over = Clock::now() - somebody_listened_ > nobody_limit;
      if (Clock::now() + pause >= until || is_over) {
        throw ControlLost(say("the coordinator cannot be reached within ",
                              std::min(limit, is_over ? nobody_limit : limit).count(),
                              " ms: ", failures.empty() ? "no address is given" : failures));
      }
      pause_.expires_after(pause);
      co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      pause = std::min(2 * pause, kLongestPause);
    }
  }

  // Empty, or why not.
  asio::awaitable<std::string> attempt(asio::generic::stream_protocol::endpoint address) {
    channel_ = std::make_shared<ControlChannel>(ControlSocket(io_), options_.limits);
    deadline_.expires_after(options_.attempt_deadline);
    deadline_.async_wait([channel = channel_](const boost::system::error_code& error) {
      if (!error) channel->end(ChannelEnd::kSilent);
    });
    std::string failure;
    try {
      co_await channel_->connect(address);
      co_await channel_->open(options_.token, ControlChannel::Role::kRank);
    } catch (const ChannelError& error) {
      failure = error.what();
      if (error.end() != ChannelEnd::kNobody) somebody_listened_ = Clock::now();
    }
    deadline_.cancel();
    co_return failure;
  }

  // Every `heartbeat`, for as long as the connection lasts.
  void beat() {
    if (!authenticated_ || channel_->ended()) return;
    if (Clock::now() - heard_ > options_.silence_limit) return channel_->end(ChannelEnd::kSilent);
    channel_->send(heartbeat_);
    deadline_.expires_after(options_.heartbeat);
    deadline_.async_wait([this](const boost::system::error_code& error) {
      if (!error) beat();
    });
  }

  void take(std::string_view frame) {
    std::optional<CoordinatorMessage> message = decode_coordinator_message(frame);
    if (!message) return channel_->end(ChannelEnd::kMalformed);
    // One that was stopped while another took its place.
    if (const std::uint64_t term = term_of(*message); term != 0) {
      if (term < term_) return channel_->end(ChannelEnd::kOutdated);
      term_ = term;
    }
    is_refused_ = std::holds_alternative<Refused>(*message);
    if (options_.on_urgent && is_urgent(*message)) options_.on_urgent(*message);
    const std::lock_guard lock(mutex_);
    if (inbox_.size() >= kMostUntaken) return channel_->end(ChannelEnd::kNotReading);
    inbox_.push_back(std::move(*message));
    changed_.notify_all();
  }

  void ended(std::exception_ptr error) {
    std::string why = "the coordinator's connection ended";
    try {
      if (error) std::rethrow_exception(error);
    } catch (const ChannelError& end) {
      why = say("the connection to the coordinator is lost: ", end.what());
    } catch (const std::exception& other) {
      why = other.what();
    }
    if (channel_ != nullptr) channel_->end(ChannelEnd::kClosedHere);
    deadline_.cancel();
    if (options_.on_lost && !finishing_) options_.on_lost();
    const std::lock_guard lock(mutex_);
    if (!lost_) lost_ = why;
    changed_.notify_all();
  }

  ControlClientOptions options_;
  std::vector<asio::generic::stream_protocol::endpoint> addresses_;
  std::optional<asio::generic::stream_protocol::endpoint> relay_;
  const ControlChannel::Frame heartbeat_ = std::make_shared<const std::string>(encode(MemberMessage(Heartbeat{})));

  // The control thread's.
  asio::io_context io_;
  asio::steady_timer deadline_, pause_;
  std::shared_ptr<ControlChannel> channel_;
  std::vector<ControlChannel::Frame> waiting_;  // for the connection
  ControlChannel::Frame introduction_, said_again_;
  std::uint64_t term_ = 0;  // the highest that was heard of
  bool authenticated_ = false, finishing_ = false;
  bool is_refused_ = false;  // by the last message
  Clock::time_point heard_, somebody_listened_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<CoordinatorMessage> inbox_;  // guarded by mutex_
  std::optional<std::string> lost_;       // guarded by mutex_: why

  std::thread thread_;
};

ControlClient::ControlClient(ControlClientOptions options) : control_(std::make_unique<Control>(std::move(options))) {}

ControlClient::~ControlClient() = default;

void ControlClient::send(const MemberMessage& message) {
  control_->send(encode(message), std::holds_alternative<Failed>(message));
}

void ControlClient::introduce(const MemberMessage& message) {
  control_->introduce(encode(message));
}

CoordinatorMessage ControlClient::next() {
  return control_->next();
}

void ControlClient::finish(std::chrono::milliseconds limit) {
  control_->finish(limit);
}

}  // namespace cadre::runtime
