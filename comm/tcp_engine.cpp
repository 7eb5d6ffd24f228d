#include "comm/tcp_engine.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "comm/tcp_path.h"
#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::comm {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using runtime::say;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// Before the next try at a peer that was busy or gave up; longer each time that it gave up.
constexpr std::chrono::milliseconds kPause{20}, kLongestPause{200};
constexpr int kReopensPerView = 3;

void send_answer(StreamSocket& socket, Answer answer, const Introduction& to, const std::string& token) {
  // 40 bytes on an idle socket: they fit, or the peer is gone.
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(encode_answer(answer, to, token)), ignored);
}

}  // namespace

TcpEngine::TcpEngine(TcpOptions options)
    : options_(std::move(options)),
      refusals_(options_.tell_refusals),
      greeter_(io_, options_, refusals_,
               [this](StreamSocket socket, Introduction by) { hear(std::move(socket), std::move(by)); }) {}

template <typename Awaitable>
void TcpEngine::spawn(Awaitable awaitable) {
  asio::co_spawn(io_, std::move(awaitable), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);  // to the thread's top
  });
}

// ---- Those who connect to us.

void TcpEngine::hear(StreamSocket socket, Introduction introduction) {
  const Claim& claim = introduction.claim;
  if (claim.stamp > view_.stamp) {
    waiting_.insert_or_assign(claim.from.rank,
                              Waiting{.socket = std::move(socket), .introduction = std::move(introduction)});
    return;
  }
  judge(std::move(socket), introduction);
}

void TcpEngine::judge(StreamSocket socket, const Introduction& introduction) {
  const Claim& claim = introduction.claim;
  const auto is_me = [this](const Party& party) {
    const runtime::Member& self = view_.members.at(self_);
    return party == Party{self.rank, self.incarnation};
  };
  const auto found = links_.find(claim.from.rank);  // none before the first view
  if (found == links_.end() || claim.from.incarnation != found->second->member.incarnation || !is_me(claim.to)) {
    refusals_.count(runtime::ChannelEnd::kOutdated, std::chrono::steady_clock::now());
    return send_answer(socket, Answer::kRefused, introduction, options_.token);
  }
  Link& link = *found->second;
  // Of two connections that cross, the one that the lower rank opens counts.
  const bool mine_counts = link.attempt && link.attempt->connected && claim.to.rank < claim.from.rank;
  if (link.connection || mine_counts) return send_answer(socket, Answer::kBusy, introduction, options_.token);
  send_answer(socket, Answer::kAccepted, introduction, options_.token);
  cancel(link);
  adopt(link, std::move(socket));
}

// ---- Those whom we connect to.

void TcpEngine::need_connection(Link& link) {
  if (link.connection || link.attempt) return;
  if (link.lane.moved || link.reopened > kReopensPerView) {
    return fail(static_cast<int>(link.index), "closed the connection");
  }
  ++link.reopened;
  link.attempt = std::make_shared<Attempt>(io_);
  spawn(open(link.member.rank, link.attempt));
}

asio::awaitable<void> TcpEngine::open(runtime::Rank rank, std::shared_ptr<Attempt> attempt) {
  std::chrono::milliseconds pause = kPause;
  std::optional<std::chrono::steady_clock::time_point> until;  // from the first time that it gave up
  for (;;) {
    bool again = false, gave_up = false;
    const std::vector<runtime::Endpoint> endpoints = links_.at(rank)->member.endpoints;
    const std::string own_host = view_.members[self_].host;
    const bool same_host = links_.at(rank)->member.host == own_host;
    for (const runtime::Endpoint& endpoint : endpoints) {
      if (is_local(endpoint) && !same_host) continue;
      const Outcome outcome = co_await try_endpoint(rank, attempt, endpoint);
      if (outcome == Outcome::kEnded || attempt->cancelled) co_return;
      again = again || outcome == Outcome::kAgain;
      gave_up = gave_up || (outcome == Outcome::kAgain && !attempt->last_failure.empty());
    }
    if (!again) break;
    attempt->timer.expires_after(pause);
    co_await attempt->timer.async_wait(kAwait);
    if (attempt->cancelled) co_return;
    if (!gave_up) continue;
    const auto now = std::chrono::steady_clock::now();
    if (!until) until = now + options_.retry_limit;
    if (now >= *until) break;
    pause = std::min(2 * pause, kLongestPause);
  }
  Link& link = *links_.at(rank);
  link.attempt.reset();
  if (link.lane.idle()) co_return;
  fail(static_cast<int>(link.index),
       attempt->last_failure.empty() ? "has no endpoint that this host can reach" : attempt->last_failure);
}

asio::awaitable<TcpEngine::Outcome> TcpEngine::try_endpoint(runtime::Rank rank, std::shared_ptr<Attempt> attempt,
                                                            runtime::Endpoint endpoint) {
  const auto target = to_socket_endpoint(endpoint);
  const std::string where = is_local(endpoint) ? endpoint.address : say(endpoint.address, ":", endpoint.port);
  if (!target) {
    attempt->last_failure = say("has an endpoint that is none: ", runtime::in_quotes(where));
    co_return Outcome::kFailed;
  }
  attempt->socket = StreamSocket(io_);
  attempt->connected = false;
  attempt->last_failure.clear();
  attempt->timer.expires_after(options_.connect_deadline);
  attempt->timer.async_wait([attempt, number = ++attempt->tried](error_code error) {
    error_code ignored;
    if (!error && attempt->tried == number) attempt->socket.close(ignored);
  });
  const auto [unreachable] = co_await attempt->socket.async_connect(*target, kAwait);
  const bool in_time = attempt->timer.cancel() == 1;
  ++attempt->tried;
  if (attempt->cancelled) co_return Outcome::kEnded;
  if (!in_time) {  // its kernel answers for a process that is stopped
    attempt->last_failure = say("does not answer at ", where);
    co_return Outcome::kFailed;
  }
  if (unreachable) {
    attempt->last_failure = say("cannot be reached at ", where, ": ", unreachable.message());
    co_return Outcome::kFailed;
  }
  attempt->connected = true;
  prepare(attempt->socket.native_handle());
  const runtime::Member self = view_.members[self_];
  const Claim claim{
      .from = {self.rank, self.incarnation}, .to = {rank, links_.at(rank)->member.incarnation}, .stamp = view_.stamp};
  const std::optional<Answer> answer = co_await make_claim(attempt->socket, claim, options_.token);
  if (attempt->cancelled) co_return Outcome::kEnded;
  attempt->connected = false;
  if (answer == Answer::kAccepted) {
    Link& link = *links_.at(rank);
    link.attempt.reset();
    adopt(link, std::move(attempt->socket));
    co_return Outcome::kEnded;
  }
  if (answer == Answer::kBusy) co_return Outcome::kAgain;
  if (!answer) {
    attempt->last_failure = say("closed the connection at ", where, " before it proved the run's token");
    co_return Outcome::kAgain;
  }
  attempt->last_failure = say("refuses this incarnation at ", where);
  co_return Outcome::kFailed;
}

void TcpEngine::adopt(Link& link, StreamSocket socket) {
  ++counters_.established;
  link.connection =
      std::make_shared<TcpConnection>(std::move(socket), static_cast<Events&>(*this), options_.drain_deadline);
  const auto connection = link.connection;
  if (board_) connection->enter(view_.stamp, link.lane);
}

void TcpEngine::cancel(Link& link) {
  if (!link.attempt) return;
  link.attempt->cancelled = true;
  if (!link.attempt->connected) say_hello(link.attempt->socket);
  error_code ignored;
  link.attempt->socket.close(ignored);
  link.attempt->timer.cancel();
  link.attempt.reset();
}

// ---- Views and transfers.

void TcpEngine::install(const runtime::View& view, std::size_t self, std::shared_ptr<TicketBoard> board) {
  if (board_) fail(-1, "a newer view was installed");
  view_ = view;
  self_ = self;
  board_ = std::move(board);
  std::map<runtime::Rank, std::unique_ptr<Link>> before = std::exchange(links_, {});
  for (std::size_t index = 0; index < view.members.size(); ++index) {
    const runtime::Member& member = view.members[index];
    if (index == self) continue;
    const auto old = before.find(member.rank);
    if (old != before.end() && old->second->member.incarnation == member.incarnation) {
      links_[member.rank] = std::move(old->second);
      before.erase(old);
    } else {
      links_[member.rank] = std::make_unique<Link>();
    }
    Link& link = *links_[member.rank];
    link.member = member;
    link.index = index;
    link.lane = {};
    link.reopened = 0;
  }
  for (const auto& [rank, link] : before) {
    cancel(*link);
    if (link->connection) link->connection->close();
  }
  for (const auto& [rank, link] : links_) {
    if (const auto connection = link->connection) connection->enter(view_.stamp, link->lane);
  }
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (at->second.introduction.claim.stamp > view_.stamp) {
      ++at;
      continue;
    }
    Waiting waiting = std::move(at->second);
    at = waiting_.erase(at);
    judge(std::move(waiting.socket), waiting.introduction);
  }
}

void TcpEngine::begin(const std::shared_ptr<TicketBoard>& board, Communicator::Ticket ticket, const Group& group) {
  if (board != board_) return;  // aborted or failed: its waits know
  std::set<Link*> touched;
  const auto link_at = [&](int index) {
    Link* link = links_.at(view_.members[static_cast<std::size_t>(index)].rank).get();
    touched.insert(link);
    return link;
  };
  for (const Send& send : group.sends) {
    link_at(send.to)->lane.outgoing.push_back({.bytes = send.bytes, .ticket = ticket});
  }
  for (const Receive& receive : group.receives) {
    link_at(receive.from)->lane.incoming.push_back({.bytes = receive.bytes, .ticket = ticket});
  }
  for (Link* link : touched) {
    if (board != board_) return;
    if (const auto connection = link->connection) {
      connection->progress();
    } else {
      need_connection(*link);
    }
  }
}

void TcpEngine::release(const std::shared_ptr<TicketBoard>& board) {
  if (board == board_) let_go();
}

void TcpEngine::fail(int peer, const std::string& reason) {
  if (!board_) return;
  board_->fail(peer, peer < 0 ? reason : say("rank ", view_.members[static_cast<std::size_t>(peer)].rank, " ", reason));
  let_go();
}

void TcpEngine::let_go() {
  const std::shared_ptr<TicketBoard> board = std::exchange(board_, nullptr);
  for (const auto& [rank, link] : links_) {
    if (const auto connection = link->connection) connection->leave();
    link->lane = {};
  }
  if (board) board->let_go();
}

void TcpEngine::close(const std::string& reason) {
  fail(-1, reason);
  greeter_.close();
  refusals_.tell_rest();
  waiting_.clear();
  for (const auto& [rank, link] : links_) {
    cancel(*link);
    if (link->connection) link->connection->close();
  }
}

// ---- What connections tell.

TcpEngine::Link* TcpEngine::link_of(const TcpConnection& connection) {
  for (const auto& [rank, link] : links_) {
    if (link->connection.get() == &connection) return link.get();
  }
  return nullptr;
}

void TcpEngine::transfer_done(Communicator::Ticket ticket) {
  if (board_) board_->done(ticket);
}

void TcpEngine::out_of_step(TcpConnection& connection, const std::string& reason) {
  if (const Link* link = link_of(connection)) fail(static_cast<int>(link->index), reason);
}

void TcpEngine::lost(TcpConnection& connection, TcpConnection::Loss loss, const std::string& reason) {
  Link* const link = link_of(connection);
  if (link == nullptr) return;
  link->connection.reset();
  if (loss == TcpConnection::Loss::kUnusable) return fail(static_cast<int>(link->index), reason);
  if (!board_ || link->lane.idle()) return;
  if (link->lane.moved) return fail(static_cast<int>(link->index), reason);
  need_connection(*link);  // nothing of this view is on the old one
}

}  // namespace cadre::comm
