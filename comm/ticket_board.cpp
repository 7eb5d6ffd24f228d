#include "comm/ticket_board.h"

#include "runtime/error.h"

namespace cadre::comm {

TicketBoard::Ticket TicketBoard::open(std::size_t transfers) {
  const std::lock_guard lock(mutex_);
  left_[next_] = transfers;
  return next_++;
}

void TicketBoard::wait(Ticket ticket) {
  std::unique_lock lock(mutex_);
  const auto group = left_.find(ticket);
  CADRE_CHECK(group != left_.end(), "ticket ", ticket, " was waited for before or never given");
  changed_.wait(lock, [&] {
    if (aborted_) return let_go_;
    return group->second == 0 || (failure_ && let_go_);
  });
  if (aborted_) throw Aborted(*aborted_);
  if (group->second != 0) throw CommError(failure_->peer, failure_->reason);
  left_.erase(group);
}

bool TicketBoard::is_done(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  const auto group = left_.find(ticket);
  CADRE_CHECK(group != left_.end(), "ticket ", ticket, " was waited for before or never given");
  return !aborted_ && group->second == 0;
}

void TicketBoard::wait_until_let_go() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return let_go_; });
}

void TicketBoard::abort(const std::string& reason) noexcept {
  const std::lock_guard lock(mutex_);
  if (!aborted_) aborted_ = reason;
  changed_.notify_all();
}

void TicketBoard::done(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  const auto group = left_.find(ticket);
  CADRE_CHECK(group != left_.end() && group->second > 0, "ticket ", ticket);
  if (--group->second == 0) changed_.notify_all();
}

void TicketBoard::fail(int peer, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = Failure{.peer = peer, .reason = reason};
}

void TicketBoard::let_go() {
  const std::lock_guard lock(mutex_);
  let_go_ = true;
  changed_.notify_all();
}

}  // namespace cadre::comm
