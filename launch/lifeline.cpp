#include "launch/lifeline.h"

#include <pthread.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "runtime/control_channel.h"
#include "runtime/control_socket.h"
#include "runtime/error.h"
#include "runtime/json_print.h"

namespace cadre::launch {
namespace {

namespace asio = boost::asio;
using runtime::ControlChannel;
using Clock = std::chrono::steady_clock;
using Error = boost::system::error_code;

constexpr std::chrono::seconds kConnectLimit{60}, kAttemptLimit{5};
constexpr std::chrono::milliseconds kPause{100};
constexpr std::chrono::seconds kSilenceLimit{30};  // the supervisor gives a sign of life every few seconds
constexpr std::chrono::seconds kEndLimit{15};

sigset_t told_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

// Whoever reads it may be gone: an mpirun that was killed.
void show(int terminal, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(terminal, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

class Lifeline::Impl {
 public:
  explicit Impl(LifelineOptions options) : options_(std::move(options)) {
    for (const runtime::Endpoint& endpoint : options_.endpoints) {
      addresses_.push_back(runtime::socket_address(endpoint));
    }
    wait_for_signal();
    const auto on_end = [this](std::exception_ptr error) { ended(error); };
    asio::co_spawn(io_, live(), on_end);
    const sigset_t told = told_signals();
    pthread_sigmask(SIG_BLOCK, &told, &before_);  // no system call of the other threads is interrupted
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "lifeline");
  }

  ~Impl() {
    io_.stop();
    thread_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  std::optional<Start> start() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return start_ || exit_code_ || loss_; });
    return start_;
  }

  std::optional<int> exit_code() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return exit_code_ || loss_; });
    return exit_code_;
  }

  std::string loss() {
    const std::lock_guard lock(mutex_);
    return loss_.value_or("");
  }

 private:
  void run() {
    const sigset_t told = told_signals();
    pthread_sigmask(SIG_UNBLOCK, &told, nullptr);
    try {
      io_.run();
    } catch (...) {
      ended(std::current_exception());
    }
  }

  void wait_for_signal() {
    signals_.async_wait([this](const Error& error, int number) {
      if (error) return;
      if (signal_ == 0) signal_ = number;
      if (is_open_) tell_signal();
      wait_for_signal();
    });
  }

  void tell_signal() { send({{"signal", signal_}}); }

  void send(const boost::json::object& message) {
    channel_->send(std::make_shared<const std::string>(runtime::json_line(message)));
  }

  asio::awaitable<void> live() {
    co_await connect();
    is_open_ = true;
    send({{"rank", options_.rank}});
    if (signal_ != 0) tell_signal();
    for (;;) {
      end_after(kSilenceLimit);
      const std::string_view frame = co_await channel_->receive();
      if (!frame.empty()) take(frame);
    }
  }

  asio::awaitable<void> connect() {
    const Clock::time_point until = Clock::now() + kConnectLimit;
    Error ignored;
    for (std::size_t i = 0;; ++i) {
      const std::string failure = co_await attempt(addresses_.at(i % addresses_.size()));
      if (failure.empty()) co_return;
      if (Clock::now() > until) throw runtime::RunError(failure);
      limit_.expires_after(kPause);
      co_await limit_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  // Empty, or why not.
  asio::awaitable<std::string> attempt(asio::generic::stream_protocol::endpoint address) {
    channel_ = std::make_shared<ControlChannel>(runtime::ControlSocket(io_), runtime::ChannelLimits{});
    end_after(kAttemptLimit);
    std::string failure;
    try {
      co_await channel_->connect(address);
      co_await channel_->open(options_.token, ControlChannel::Role::kRank);
    } catch (const runtime::ChannelError& error) {
      failure = error.what();
    }
    co_return failure;
  }

  // Unless it is called again before.
  void end_after(std::chrono::seconds limit) {
    limit_.expires_after(limit);
    limit_.async_wait([channel = channel_](const Error& error) {
      if (!error) channel->end(runtime::ChannelEnd::kSilent);
    });
  }

  void take(std::string_view frame) {
    const boost::json::object message = boost::json::parse(frame).as_object();
    if (const auto* text = message.if_contains("text")) return show(options_.terminal, text->as_string());
    const std::lock_guard lock(mutex_);
    if (const auto* boot = message.if_contains("boot")) {
      start_ = Start{.boot = parse_boot(std::string(boot->as_string())),
                     .logs = std::string(message.at("logs").as_string())};
      start_->boot.token = options_.token;
    } else {
      exit_code_ = message.at("end").to_number<int>();
      // The connection's end is the supervisor's sign that this process is over.
      last_.expires_after(kEndLimit);
      last_.async_wait([code = *exit_code_](const Error& error) {
        if (!error) _exit(code);
      });
    }
    changed_.notify_all();
  }

  void ended(std::exception_ptr error) {
    std::string why = "the connection ended";
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& failure) {
      why = failure.what();
    }
    is_open_ = false;
    limit_.cancel();
    const std::lock_guard lock(mutex_);
    if (!loss_) loss_ = why;
    changed_.notify_all();
  }

  LifelineOptions options_;
  std::vector<asio::generic::stream_protocol::endpoint> addresses_;
  sigset_t before_ = {};

  // The thread's.
  asio::io_context io_{1};
  asio::signal_set signals_{io_, SIGTERM, SIGINT, SIGHUP};
  asio::steady_timer limit_{io_}, last_{io_};
  std::shared_ptr<ControlChannel> channel_;
  bool is_open_ = false;
  int signal_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Start> start_;       // guarded by mutex_
  std::optional<int> exit_code_;     // guarded by mutex_
  std::optional<std::string> loss_;  // guarded by mutex_

  std::thread thread_;
};

Lifeline::Lifeline(LifelineOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Lifeline::~Lifeline() = default;

std::optional<Lifeline::Start> Lifeline::start() {
  return impl_->start();
}

std::optional<int> Lifeline::exit_code() {
  return impl_->exit_code();
}

std::string Lifeline::loss() const {
  return impl_->loss();
}

}  // namespace cadre::launch
