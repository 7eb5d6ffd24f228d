#include "runtime/relay.h"

#include <fcntl.h>
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
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "runtime/bundle.h"
#include "runtime/codec.h"
#include "runtime/control_socket.h"
#include "runtime/error.h"

namespace cadre::runtime {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using Event = BundleItem::Event;

constexpr std::chrono::milliseconds kPause{100};  // between two attempts at the coordinator
constexpr std::size_t kMostHalfOpen = 256;        // that have not proven the token; more are closed
constexpr std::size_t kRoomForBundle = 1024;      // by how much a rank's longest frame is shorter than the relay's

}  // namespace

class Relay::Lines {
 public:
  explicit Lines(RelayOptions options)
      : options_(std::move(options)), listener_(io_, options_.listener), idle_(io_), beat_(io_), gather_(io_) {
    for (const Endpoint& endpoint : options_.coordinator) addresses_.push_back(socket_address(endpoint));
    CADRE_CHECK(::fcntl(options_.listener, F_SETFL, O_NONBLOCK) == 0, std::strerror(errno));
  }

  void run() {
    asio::co_spawn(io_, serve_coordinator(), [this](std::exception_ptr error) {
      stop();
      if (error) std::rethrow_exception(error);
    });
    io_.run();
  }

 private:
  using Channel = std::shared_ptr<ControlChannel>;

  // ---- the coordinator's side

  asio::awaitable<void> serve_coordinator() {
    if (!co_await connect()) co_return;
    begin();
    try {
      for (;;) {
        const std::string_view frame = co_await coordinator_->receive();
        heard_ = Clock::now();
        if (!frame.empty()) unpack(frame);
      }
    } catch (const ChannelError&) {  // its ranks find out for themselves
    }
  }

  asio::awaitable<bool> connect() {
    const Clock::time_point until = Clock::now() + options_.connect_deadline;
    boost::system::error_code error;
    do {
      for (const auto& address : addresses_) {
        coordinator_ = std::make_shared<ControlChannel>(ControlSocket(io_), options_.limits);
        end_after(beat_, coordinator_, options_.handshake_deadline);
        bool is_open = false;
        try {
          co_await coordinator_->connect(address);
          co_await coordinator_->open(options_.token, ControlChannel::Role::kRelay);
          is_open = true;
        } catch (const ChannelError&) {  // the next one, or later
        }
        beat_.cancel();
        if (is_open) co_return true;
      }
      idle_.expires_after(kPause);
      co_await idle_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    } while (Clock::now() < until);
    co_return false;
  }

  void begin() {
    heard_ = Clock::now();
    beat();
    gather();
    idle_.expires_after(options_.idle);
    idle_.async_wait([this](const boost::system::error_code& error) {
      if (!error && next_number_ == 0) stop();
    });
    asio::co_spawn(io_, accept(), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
  }

  void unpack(std::string_view frame) {
    const std::optional<Bundle> bundle = decode_bundle(frame);
    if (!bundle) return coordinator_->end(ChannelEnd::kMalformed);
    for (const BundleItem& item : bundle->items) {
      const auto payload = std::make_shared<const std::string>(item.payload);
      for (const std::uint32_t number : item.lines) {
        const auto rank = ranks_.find(number);
        if (rank == ranks_.end()) continue;  // gone, and the coordinator did not know yet
        if (item.event == Event::kFrame) rank->second->send(payload);
        if (item.event == Event::kClose) rank->second->end_when_sent();
      }
    }
  }

  // The coordinator answers it.
  void beat() {
    if (coordinator_->ended()) return;
    if (Clock::now() - heard_ > options_.silence_limit) return coordinator_->end(ChannelEnd::kSilent);
    coordinator_->send(std::make_shared<const std::string>());
    beat_.expires_after(options_.heartbeat);
    beat_.async_wait([this](const boost::system::error_code& error) {
      if (!error) beat();
    });
  }

  void gather() {
    if (!beating_.empty()) flush();
    gather_.expires_after(options_.gathering);
    gather_.async_wait([this](const boost::system::error_code& error) {
      if (!error) gather();
    });
  }

  // ---- the ranks' side

  asio::awaitable<void> accept() {
    boost::system::error_code error;
    while (listener_.is_open()) {
      co_await listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                                    asio::redirect_error(asio::use_awaitable, error));
      if (!listener_.is_open()) break;
      asio::generic::stream_protocol::endpoint peer;
      auto size = static_cast<socklen_t>(peer.capacity());
      const int socket = ::accept4(listener_.native_handle(), peer.data(), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket >= 0) {
        begin_line(socket, peer.data()->sa_family);
      } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        break;  // no descriptors: who comes now goes to the coordinator
      }
    }
    boost::system::error_code ignored;
    listener_.close(ignored);
  }

  void begin_line(int socket, int family) {
    ControlSocket taken(io_, asio::generic::stream_protocol(family, 0), socket);
    if (half_open_ >= kMostHalfOpen) return;
    ChannelLimits limits = options_.limits;
    limits.frame_bytes -= std::min(limits.frame_bytes / 2, kRoomForBundle);
    ++half_open_;
    asio::co_spawn(io_, serve(std::make_shared<ControlChannel>(std::move(taken), limits)),
                   [](std::exception_ptr error) {
                     if (error) std::rethrow_exception(error);
                   });
  }

  asio::awaitable<void> serve(Channel channel) {
    std::optional<std::uint32_t> number;
    asio::steady_timer deadline(io_);
    end_after(deadline, channel, options_.handshake_deadline);
    try {
      const ControlChannel::Role role = co_await channel->accept(options_.token);
      deadline.cancel();
      if (role == ControlChannel::Role::kRank) {
        number = opened(channel);
      } else {
        channel->end(ChannelEnd::kGarbage);
      }
      for (;;) {
        const std::string_view frame = co_await channel->receive();
        received(*number, *channel, frame);
      }
    } catch (const ChannelError&) {  // the coordinator is told, below
    }
    if (number) {
      closed(*number);
    } else {
      --half_open_;
    }
  }

  std::uint32_t opened(const Channel& channel) {
    const std::uint32_t number = next_number_++;
    --half_open_;
    ranks_.emplace(number, channel);
    add({Event::kOpen, {number}, "a rank"});
    return number;
  }

  void received(std::uint32_t number, ControlChannel& channel, std::string_view frame) {
    if (frame != heartbeat_) return add({Event::kFrame, {number}, std::string(frame)});
    channel.send(std::make_shared<const std::string>());
    beating_.push_back(number);
  }

  void closed(std::uint32_t number) {
    ranks_.erase(number);
    std::erase(beating_, number);
    add({Event::kClose, {number}, {}});
  }

  // What comes in one turn of the loop goes out as one.
  void add(BundleItem item) {
    pending_.push_back(std::move(item));
    if (pending_.size() == 1) asio::post(io_, [this] { flush(); });
  }

  void flush() {
    if (!beating_.empty()) pending_.push_back({Event::kFrame, std::exchange(beating_, {}), heartbeat_});
    for (auto item = pending_.begin(); item != pending_.end();) {
      Bundle bundle;
      std::size_t bytes = 0;
      do {
        bytes += item->payload.size();
        bundle.items.push_back(std::move(*item++));
      } while (item != pending_.end() && bytes + item->payload.size() < options_.limits.frame_bytes / 2);
      coordinator_->send(std::make_shared<const std::string>(encode(bundle)));
    }
    pending_.clear();
    if (next_number_ > 0 && ranks_.empty()) leave();
  }

  // The last of its ranks has gone; one that comes now is not taken any more.
  void leave() {
    boost::system::error_code ignored;
    listener_.close(ignored);
    coordinator_->end_when_sent();
  }

  void stop() {
    boost::system::error_code ignored;
    listener_.close(ignored);
    if (coordinator_ != nullptr) coordinator_->end(ChannelEnd::kClosedHere);
    for (const auto& [number, channel] : ranks_) channel->end(ChannelEnd::kClosedHere);
    io_.stop();
  }

  static void end_after(asio::steady_timer& timer, const Channel& channel, std::chrono::milliseconds after) {
    timer.expires_after(after);
    timer.async_wait([channel](const boost::system::error_code& error) {
      if (!error) channel->end(ChannelEnd::kSilent);
    });
  }

  RelayOptions options_;
  const std::string heartbeat_ = encode(MemberMessage(Heartbeat{}));
  asio::io_context io_{1};
  asio::posix::stream_descriptor listener_;
  asio::steady_timer idle_, beat_, gather_;
  std::vector<asio::generic::stream_protocol::endpoint> addresses_;
  Channel coordinator_;
  Clock::time_point heard_;  // of the coordinator
  std::map<std::uint32_t, Channel> ranks_;
  std::uint32_t next_number_ = 0;
  std::size_t half_open_ = 0;
  std::vector<BundleItem> pending_;
  std::vector<std::uint32_t> beating_;  // ranks whose heartbeat is to go on
};

Relay::Relay(RelayOptions options) : lines_(std::make_unique<Lines>(std::move(options))) {}

Relay::~Relay() = default;

void Relay::run() {
  lines_->run();
}

}  // namespace cadre::runtime
