#include "runtime/control_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <exception>
#include <list>
#include <map>
#include <unordered_map>
#include <utility>

#include "runtime/bundle.h"
#include "runtime/codec.h"
#include "runtime/control_socket.h"
#include "runtime/error.h"
#include "runtime/half_open.h"

namespace cadre::runtime {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// After accept() found no descriptor or memory left.
constexpr std::chrono::milliseconds kPauseWhenFull{50};

void rethrow(std::exception_ptr error) {
  if (error) std::rethrow_exception(error);
}

}  // namespace

// A line is a channel with what the server knows of it: of one rank, or of a host's relay that speaks for several.
class ControlServer::Lines : public std::enable_shared_from_this<Lines> {
 public:
  Lines(asio::io_context& io, ControlServerOptions options, ControlHandler& handler)
      : io_(io),
        options_(std::move(options)),
        handler_(&handler),
        half_open_(std::make_shared<HalfOpen>(options_.half_open, options_.handshake_grace)),
        refusals_(options_.tell_refusals) {
    for (const int listener : options_.listeners) {
      endpoints_.push_back(endpoint_of(listener));
      CADRE_CHECK(::fcntl(listener, F_SETFL, ::fcntl(listener, F_GETFL) | O_NONBLOCK) == 0, std::strerror(errno));
      listeners_.emplace_back(io_, listener);
    }
  }

  void start() {
    for (auto& listener : listeners_) asio::co_spawn(io_, accept(shared_from_this(), listener), rethrow);
  }

  void stop() {
    handler_ = nullptr;
    refusals_.tell_rest();
    for (auto& listener : listeners_) listener.close();
    half_open_->close();
    for (const auto& [id, route] : std::exchange(routes_, {})) route.line->channel->end(ChannelEnd::kClosedHere);
    for (const auto& line : std::exchange(relays_, {})) line->channel->end(ChannelEnd::kClosedHere);
  }

  void broadcast(std::span<const Connection> connections, const CoordinatorMessage& message) {
    const auto frame = std::make_shared<const std::string>(encode(message));
    std::map<Line*, std::vector<std::uint32_t>> by_relay;
    for (const Connection id : connections) {
      const auto at = routes_.find(id);
      if (at == routes_.end() || at->second.closing) continue;
      if (at->second.line->role == Role::kRank) {
        at->second.line->channel->send(frame);
      } else {
        by_relay[at->second.line.get()].push_back(at->second.number);
      }
    }
    for (auto& [line, numbers] : by_relay) {
      send_bundle(*line, {BundleItem::Event::kFrame, std::move(numbers), *frame});
    }
  }

  void close(Connection id) {
    const auto at = routes_.find(id);
    if (at == routes_.end() || std::exchange(at->second.closing, true)) return;
    const std::shared_ptr<Line> line = at->second.line;
    if (line->role == Role::kRank) {
      line->channel->end_when_sent();
      end_after(*line, options_.linger, ChannelEnd::kClosedHere);
    } else {
      send_bundle(*line, {BundleItem::Event::kClose, {at->second.number}, {}});
      asio::post(io_, [self = shared_from_this(), id] { self->closed(id, ChannelEnd::kClosedHere); });
    }
  }

  std::optional<Time> silent_since(Connection id) const {
    const auto at = routes_.find(id);
    return at == routes_.end() ? std::nullopt : std::optional(at->second.heard);
  }

  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  const Refusals& refusals() const { return refusals_; }

 private:
  using Role = ControlChannel::Role;

  struct Line {
    Line(ControlSocket socket, const ChannelLimits& limits)
        : deadline(socket.get_executor()), channel(std::make_shared<ControlChannel>(std::move(socket), limits)) {}

    asio::steady_timer deadline;
    std::shared_ptr<ControlChannel> channel;
    std::string peer = {};
    bool is_known = false;  // has proven the token
    Role role = Role::kRank;
    std::map<std::uint32_t, Connection> connections = {};  // by the relay's numbers; a rank's own is number 0
    std::uint32_t next_number = 0;                         // of a relay; those below were used
  };

  // The way to a rank.
  struct Route {
    std::shared_ptr<Line> line;
    std::uint32_t number = 0;
    Time heard = {};
    bool closing = false;
  };

  // ---- accepting

  static asio::awaitable<void> accept(std::shared_ptr<Lines> self, asio::posix::stream_descriptor& listener) {
    boost::system::error_code error;
    asio::steady_timer pause(self->io_);
    while (listener.is_open()) {
      co_await listener.async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::redirect_error(asio::use_awaitable, error));
      while (listener.is_open()) {
        co_await HalfOpen::make_room(self->half_open_);
        if (!listener.is_open()) break;
        asio::generic::stream_protocol::endpoint peer;
        auto size = static_cast<socklen_t>(peer.capacity());
        const int socket = ::accept4(listener.native_handle(), peer.data(), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket >= 0) {
          peer.resize(size);
          self->begin(socket, peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          pause.expires_after(kPauseWhenFull);
          co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
          self->half_open_->end_oldest();
        } else if (errno == EAGAIN) {
          break;
        }  // else: this one is gone already
      }
    }
  }

  void begin(int socket, const asio::generic::stream_protocol::endpoint& peer) {
    const int family = peer.data()->sa_family;
    const int yes = 1;
    if (family != AF_UNIX) static_cast<void>(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
    const asio::generic::stream_protocol protocol(family, family == AF_UNIX ? 0 : IPPROTO_TCP);
    const auto line = std::make_shared<Line>(ControlSocket(io_, protocol, socket), options_.limits);
    line->peer = describe(peer);
    half_open_->enter(line.get(), [channel = line->channel](ChannelEnd why) { channel->end(why); });
    end_after(*line, options_.handshake_deadline, ChannelEnd::kSilent);
    asio::co_spawn(io_, serve(shared_from_this(), line), rethrow);
  }

  static void end_after(Line& line, std::chrono::milliseconds after, ChannelEnd why) {
    line.deadline.expires_after(after);
    line.deadline.async_wait([channel = std::weak_ptr(line.channel), why](const boost::system::error_code& error) {
      const auto late = error ? nullptr : channel.lock();
      if (late != nullptr) late->end(why);
    });
  }

  // ---- one line

  static asio::awaitable<void> serve(std::shared_ptr<Lines> self, std::shared_ptr<Line> line) {
    ChannelEnd why = ChannelEnd::kClosed;
    try {
      line->role = co_await line->channel->accept(self->options_.token);
      self->authenticated(line);
      for (;;) {
        const std::string_view frame = co_await line->channel->receive();
        self->received(line, frame);
      }
    } catch (const ChannelError& error) {
      why = error.end();
    }
    line->deadline.cancel();
    self->gone(line, why);
  }

  void authenticated(const std::shared_ptr<Line>& line) {
    line->deadline.cancel();
    half_open_->leave(line.get());
    line->is_known = true;
    if (handler_ == nullptr) return line->channel->end(ChannelEnd::kClosedHere);
    if (line->role == Role::kRank) {
      opened(line, 0, line->peer);
    } else {
      relays_.push_back(line);
    }
  }

  void received(const std::shared_ptr<Line>& line, std::string_view frame) {
    if (line->role == Role::kRank) {
      message(line, 0, frame);
    } else if (frame.empty()) {
      answer_life(*line);
    } else {
      unpack(line, frame);
    }
  }

  // The sign of life that the other end waits for in its turn.
  static void answer_life(Line& line) { line.channel->send(std::make_shared<const std::string>()); }

  void unpack(const std::shared_ptr<Line>& line, std::string_view frame) {
    const std::optional<Bundle> bundle = decode_bundle(frame);
    if (!bundle) return line->channel->end(ChannelEnd::kMalformed);
    for (const BundleItem& item : bundle->items) {
      for (const std::uint32_t number : item.lines) {
        const auto at = line->connections.find(number);
        if (item.event == BundleItem::Event::kOpen) {
          if (number < line->next_number) return line->channel->end(ChannelEnd::kMalformed);
          line->next_number = number + 1;
          opened(line, number, say(item.payload, " through ", line->peer));
        } else if (at == line->connections.end()) {
          continue;  // closed here, and the relay did not know yet
        } else if (item.event == BundleItem::Event::kClose) {
          closed(at->second, ChannelEnd::kClosed);
        } else {
          message(line, number, item.payload);
        }
        if (line->channel->ended()) return;
      }
    }
  }

  void opened(const std::shared_ptr<Line>& line, std::uint32_t number, const std::string& peer) {
    const auto id = static_cast<Connection>(++last_connection_);
    line->connections.emplace(number, id);
    routes_.emplace(id, Route{line, number, Clock::now(), false});
    handler_->on_open(id, peer);
  }

  void message(const std::shared_ptr<Line>& line, std::uint32_t number, std::string_view payload) {
    const auto at = line->connections.find(number);
    if (at == line->connections.end()) return;
    const auto route = routes_.find(at->second);
    if (route == routes_.end() || route->second.closing) return;
    route->second.heard = Clock::now();
    std::optional<MemberMessage> message = decode_member_message(payload);
    if (!message) return line->channel->end(ChannelEnd::kMalformed);
    if (line->role == Role::kRank && std::holds_alternative<Heartbeat>(*message)) answer_life(*line);
    handler_->on_message(at->second, std::move(*message));
  }

  void closed(Connection id, ChannelEnd why) {
    if (forget(id) && handler_ != nullptr) handler_->on_close(id, why);
  }

  // Nothing when it is forgotten already.
  std::optional<Route> forget(Connection id) {
    const auto at = routes_.find(id);
    if (at == routes_.end()) return std::nullopt;
    Route route = std::move(at->second);
    route.line->connections.erase(route.number);
    routes_.erase(at);
    return route;
  }

  void gone(const std::shared_ptr<Line>& line, ChannelEnd why) {
    const bool is_lost = line->is_known && (why == ChannelEnd::kClosed || why == ChannelEnd::kSilent);
    if (!is_lost) refusals_.count(why, Clock::now());
    half_open_->leave(line.get());
    relays_.remove(line);
    for (const auto& [number, id] : std::exchange(line->connections, {})) {
      const std::optional<Route> route = forget(id);
      if (!route || handler_ == nullptr) continue;
      if (line->role == Role::kRelay && !route->closing) {
        handler_->on_detach(id, why);
      } else {
        handler_->on_close(id, why);
      }
    }
  }

  void send_bundle(Line& line, BundleItem item) {
    Bundle bundle;
    bundle.items.push_back(std::move(item));
    line.channel->send(std::make_shared<const std::string>(encode(bundle)));
  }

  asio::io_context& io_;
  ControlServerOptions options_;
  ControlHandler* handler_;  // null: stopped
  std::vector<Endpoint> endpoints_;
  std::list<asio::posix::stream_descriptor> listeners_;
  std::shared_ptr<HalfOpen> half_open_;
  std::list<std::shared_ptr<Line>> relays_;
  std::unordered_map<Connection, Route> routes_;
  std::uint64_t last_connection_ = 0;
  Refusals refusals_;
};

ControlServer::ControlServer(asio::io_context& io, ControlServerOptions options, ControlHandler& handler)
    : lines_(std::make_shared<Lines>(io, std::move(options), handler)) {
  lines_->start();
}

ControlServer::~ControlServer() {
  lines_->stop();
}

const std::vector<Endpoint>& ControlServer::endpoints() const {
  return lines_->endpoints();
}

void ControlServer::send(Connection connection, const CoordinatorMessage& message) {
  lines_->broadcast({&connection, 1}, message);
}

void ControlServer::broadcast(std::span<const Connection> connections, const CoordinatorMessage& message) {
  lines_->broadcast(connections, message);
}

void ControlServer::close(Connection connection) {
  lines_->close(connection);
}

std::optional<ControlServer::Time> ControlServer::silent_since(Connection connection) const {
  return lines_->silent_since(connection);
}

const Refusals& ControlServer::refusals() const {
  return lines_->refusals();
}

}  // namespace cadre::runtime
