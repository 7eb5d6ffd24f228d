#include "launch/lifeline_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <csignal>
#include <list>
#include <optional>
#include <set>
#include <thread>

#include "launch/pipes.h"
#include "runtime/control_channel.h"
#include "runtime/error.h"
#include "runtime/half_open.h"
#include "runtime/json_print.h"
#include "runtime/plain_text.h"
#include "runtime/quiet_thread.h"

namespace cadre::launch {
namespace {

namespace asio = boost::asio;
using runtime::ControlChannel;
using Clock = std::chrono::steady_clock;
using Error = boost::system::error_code;

constexpr std::chrono::milliseconds kTick{100}, kPauseWhenFull{50};
constexpr std::chrono::seconds kSignOfLife{5};
constexpr std::size_t kStrangers = 64;           // connections that have not said which rank they are
constexpr std::size_t kLineBytes = 1 << 14;      // of text
constexpr std::size_t kTextBytes = 1 << 20;      // that may wait for a rank
constexpr std::chrono::seconds kComeLimit{10};   // that the end waits for ranks that never came
constexpr std::chrono::seconds kShownLimit{3};   // from the end of the rank that shows text to that of the others
constexpr std::chrono::seconds kLeaveLimit{20};  // for them

}  // namespace

class LifelineServer::Impl {
 public:
  explicit Impl(LifelineServerOptions options)
      : options_(std::move(options)),
        text_lines_(kLineBytes),
        half_open_(std::make_shared<runtime::HalfOpen>(kStrangers, options_.handshake_grace)) {
    text_ = std::make_unique<PipeReader>(
        io_, std::move(options_.text),
        [this](std::string_view bytes) {
          text_lines_.take(bytes, [this](const std::string& line) { take_text(line + "\n"); });
        },
        [this] {
          text_lines_.take("\n", [this](const std::string& line) { take_text(line.empty() ? "" : line + "\n"); });
        });
    for (Listener& listener : options_.listeners) {
      sockets_.emplace_back(io_, listener.socket.release());
      sockets_.back().non_blocking(true);
      asio::co_spawn(io_, accept(sockets_.back()), rethrow);
    }
    tick();
    thread_ = runtime::start_quiet_thread("lifelines", [this] { io_.run(); });
  }

  ~Impl() {
    if (!thread_.joinable()) return;
    io_.stop();
    thread_.join();
  }

  void hand_out(Boot boot, const std::filesystem::path& logs) {
    boot.token.clear();
    std::string message = runtime::json_line({{"boot", print_boot(boot)}, {"logs", logs.string()}});
    asio::post(io_, [this, frame = std::make_shared<const std::string>(std::move(message))] {
      start_ = frame;
      for (const auto& line : lines_) {
        if (line->rank) line->channel->send(start_);
      }
    });
  }

  void finish(int exit_code) {
    asio::post(io_, [this, exit_code] {
      end_ = frame({{"end", exit_code}});
      end_since_ = Clock::now();
      look();
    });
    thread_.join();
  }

 private:
  struct Line {
    explicit Line(runtime::ControlSocket socket)
        : deadline(socket.get_executor()),
          channel(std::make_shared<ControlChannel>(std::move(socket), runtime::ChannelLimits{})) {}

    asio::steady_timer deadline;
    std::shared_ptr<ControlChannel> channel;
    std::optional<std::uint32_t> rank = {};
    bool is_told_end = false;
  };

  static void rethrow(std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  }

  static ControlChannel::Frame frame(const boost::json::object& message) {
    return std::make_shared<const std::string>(runtime::json_line(message));
  }

  asio::awaitable<void> accept(asio::posix::stream_descriptor& listener) {
    Error error;
    asio::steady_timer pause(io_);
    for (;;) {
      co_await listener.async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      co_await runtime::HalfOpen::make_room(half_open_);
      asio::generic::stream_protocol::endpoint peer;
      auto size = static_cast<socklen_t>(peer.capacity());
      const int socket = ::accept4(listener.native_handle(), peer.data(), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket < 0) {
        const int why = errno;
        if (why == EAGAIN || why == ECONNABORTED) continue;
        pause.expires_after(kPauseWhenFull);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        if (why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM) half_open_->end_oldest();
      } else {
        const int yes = 1;
        static_cast<void>(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
        const asio::generic::stream_protocol protocol(peer.data()->sa_family, IPPROTO_TCP);
        const auto line = std::make_shared<Line>(runtime::ControlSocket(io_, protocol, socket));
        lines_.insert(line);
        half_open_->enter(line.get(), [channel = line->channel](runtime::ChannelEnd why) { channel->end(why); });
        asio::co_spawn(io_, serve(line), rethrow);
      }
    }
  }

  asio::awaitable<void> serve(std::shared_ptr<Line> line) {
    line->deadline.expires_after(options_.handshake_limit);
    line->deadline.async_wait([channel = line->channel](const Error& error) {
      if (!error) channel->end(runtime::ChannelEnd::kSilent);
    });
    try {
      co_await line->channel->accept(options_.token);
      for (;;) {
        const std::string_view message = co_await line->channel->receive();
        if (!message.empty()) take(*line, message);
      }
    } catch (const std::exception&) {
      // It is closed, a stranger, or said what no rank says: no rank is at its other end any more.
    }
    line->channel->end(runtime::ChannelEnd::kClosedHere);
    line->deadline.cancel();
    half_open_->leave(line.get());
    lines_.erase(line);
    look();
  }

  void take(Line& line, std::string_view bytes) {
    const boost::json::object message = boost::json::parse(bytes).as_object();
    if (line.rank) return take_signal(message.at("signal").to_number<int>());
    const auto rank = message.at("rank").to_number<std::uint32_t>();
    if (rank >= options_.ranks || !came_.insert(rank).second) throw runtime::RunError("no rank, or one twice");
    line.rank = rank;
    line.deadline.cancel();
    half_open_->leave(&line);
    if (start_) line.channel->send(start_);
    show_text();
    look();
  }

  void take_signal(int number) {
    if (number != SIGTERM && number != SIGINT && number != SIGHUP) return;
    if (!end_ && !std::exchange(is_signalled_, true)) ::kill(::getpid(), number);
  }

  void take_text(const std::string& line) {
    if (waiting_text_.size() < kTextBytes) waiting_text_ += runtime::valid_utf8(line);
    show_text();
  }

  void show_text() {
    const std::shared_ptr<Line> first = first_rank();
    if (first == nullptr || waiting_text_.empty()) return;
    first->channel->send(frame({{"text", std::exchange(waiting_text_, {})}}));
  }

  std::shared_ptr<Line> first_rank() const {
    std::shared_ptr<Line> first;
    for (const auto& line : lines_) {
      if (line->rank && (first == nullptr || *line->rank < *first->rank)) first = line;
    }
    return first;
  }

  void tick() {
    ticks_.expires_after(kTick);
    ticks_.async_wait([this](const Error& error) {
      if (error) return;
      if (Clock::now() - sign_of_life_ > kSignOfLife) {
        sign_of_life_ = Clock::now();
        const auto empty = std::make_shared<const std::string>();
        for (const auto& line : lines_) {
          if (line->rank) line->channel->send(empty);
        }
      }
      look();
      tick();
    });
  }

  void look() {
    const bool is_lonely = first_rank() == nullptr;
    if (!is_lonely) lonely_since_ = Clock::now();
    if (end_) return look_at_end(is_lonely);
    if (Clock::now() - lonely_since_ > (came_.empty() ? options_.first_limit : options_.lonely_limit))
      take_signal(SIGTERM);
  }

  // The rank that shows text, then the others; each step when the one before is done or has taken too long.
  void look_at_end(bool is_lonely) {
    const auto waited = Clock::now() - end_since_;
    if ((text_->is_open() || came_.size() < options_.ranks) && waited < kComeLimit) return;
    if (!shows_ && !is_lonely && !is_all_told_) {
      const std::shared_ptr<Line> first = first_rank();
      tell_end(*first);
      shows_ = first;
      shows_since_ = Clock::now();
      return;
    }
    if (!is_all_told_ && shows_ && lines_.contains(shows_) && Clock::now() - shows_since_ < kShownLimit) return;
    if (!std::exchange(is_all_told_, true)) {
      for (const auto& line : lines_) {
        if (line->rank) tell_end(*line);
      }
    }
    if (is_lonely || waited > kLeaveLimit + kComeLimit) io_.stop();
  }

  void tell_end(Line& line) {
    if (!std::exchange(line.is_told_end, true)) line.channel->send(end_);
  }

  LifelineServerOptions options_;

  // The thread's, once it runs.
  asio::io_context io_{1};
  std::list<asio::posix::stream_descriptor> sockets_;
  asio::steady_timer ticks_{io_};
  std::unique_ptr<PipeReader> text_;
  LineCutter text_lines_;
  std::string waiting_text_;
  std::set<std::shared_ptr<Line>> lines_;
  std::shared_ptr<runtime::HalfOpen> half_open_;
  std::set<std::uint32_t> came_;
  Clock::time_point lonely_since_ = Clock::now(), sign_of_life_ = Clock::now();
  bool is_signalled_ = false;
  ControlChannel::Frame start_, end_;
  Clock::time_point end_since_, shows_since_;
  std::shared_ptr<Line> shows_;
  bool is_all_told_ = false;

  std::thread thread_;
};

LifelineServer::LifelineServer(LifelineServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

LifelineServer::~LifelineServer() = default;

void LifelineServer::hand_out(Boot boot, const std::filesystem::path& logs) {
  impl_->hand_out(std::move(boot), logs);
}

void LifelineServer::finish(int exit_code) {
  impl_->finish(exit_code);
}

}  // namespace cadre::launch
