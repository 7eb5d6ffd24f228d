#include "runtime/half_open.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace cadre::runtime {

namespace asio = boost::asio;

void HalfOpen::enter(const void* connection, End end) {
  entries_.push_back({connection, Clock::now(), std::move(end)});
}

void HalfOpen::leave(const void* connection) {
  entries_.remove_if([&](const Entry& entry) { return entry.connection == connection; });
  tell_of_room();
}

asio::awaitable<void> HalfOpen::make_room(std::shared_ptr<HalfOpen> self) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  boost::system::error_code error;
  self->waiting_.push_back(&timer);
  while (!self->is_closed_ && self->entries_.size() >= self->places_) {
    const Clock::time_point until = self->entries_.front().since + self->grace_;
    if (Clock::now() >= until) {
      self->end_oldest();
    } else {
      timer.expires_at(until);
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
  self->waiting_.remove(&timer);
}

void HalfOpen::end_oldest() {
  if (entries_.empty()) return;
  const Entry oldest = std::move(entries_.front());
  entries_.pop_front();
  oldest.end(ChannelEnd::kCrowded);
}

void HalfOpen::close() {
  is_closed_ = true;
  for (const Entry& entry : std::exchange(entries_, {})) entry.end(ChannelEnd::kClosedHere);
  tell_of_room();
}

void HalfOpen::tell_of_room() {
  for (asio::steady_timer* timer : waiting_) timer->cancel();
}

}  // namespace cadre::runtime
