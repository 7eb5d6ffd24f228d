#include "tests/unit/runtime/simulation/simulated_network.h"

#include <algorithm>

namespace cadre::simulation {

using namespace std::chrono_literals;

void Process::run(std::function<void()> action) {
  if (!is_alive_) return;
  if (is_stopped_) {
    waiting_.push_back(std::move(action));
  } else {
    action();
  }
}

void Process::after(Duration delay, std::function<void()> action) {
  clock_.after(delay, [self = shared_from_this(), action = std::move(action)] { self->run(action); });
}

void Process::go_on() {
  is_stopped_ = false;
  while (is_alive_ && !is_stopped_ && !waiting_.empty()) {
    const std::function<void()> action = std::move(waiting_.front());
    waiting_.pop_front();
    action();
  }
}

bool SimulatedNetwork::is_cut(Host from, Host to) const {
  const auto found = cut_until_.find({from, to});
  return found != cut_until_.end() && found->second > clock_.now();
}

TimePoint SimulatedNetwork::arrival(Host from, Host to) {
  Duration delay = chance_.between(50us, 1ms);
  if (chance_.one_in(16)) delay += chance_.between(0us, 20ms);
  if (clock_.now() < slow_until_) delay += chance_.between(0us, 400ms);
  if (!is_cut(from, to)) return clock_.now() + delay;
  return cut_until_.at({from, to}) + chance_.between(0us, 200ms) + delay;
}

void ControlLink::forget_ends() {
  rank_->die();
  coordinator_->die();
  rank_.reset();
  coordinator_.reset();
}

void ControlLink::up(std::function<void()> action) {
  last_up_ = std::max(last_up_, network_.arrival(host_, kCoordinatorHost));
  clock_.at(last_up_, [self = shared_from_this(), action = std::move(action)] {
    self->coordinator_->run([self, action] {
      if (self->open_at_coordinator_) action();
    });
  });
}

void ControlLink::down(std::function<void()> action) {
  last_down_ = std::max(last_down_, network_.arrival(kCoordinatorHost, host_));
  clock_.at(last_down_, [self = shared_from_this(), action = std::move(action)] {
    self->rank_->run([self, action] {
      if (self->open_at_rank_) action();
    });
  });
}

void ControlLink::send(runtime::MemberMessage message) {
  if (!open_at_rank_) return;
  up([this, message = std::move(message)] {
    if (!reset_by_rank_) coordinator_->received(shared_from_this(), message);
  });
}

void ControlLink::tell(runtime::CoordinatorMessage message) {
  if (!open_at_coordinator_) return;
  down([this, message = std::move(message)] {
    if (!reset_by_coordinator_) rank_->received(shared_from_this(), message);
  });
}

void ControlLink::answer_beat() {
  if (!open_at_coordinator_) return;
  down([this] {
    if (!reset_by_coordinator_) rank_->beat_answered(shared_from_this());
  });
}

void ControlLink::close_at_rank(bool is_reset) {
  if (!open_at_rank_) return;
  open_at_rank_ = false;
  reset_by_rank_ = is_reset;
  if (loses_ends_) return;
  up([this] {
    open_at_coordinator_ = false;
    coordinator_->closed(shared_from_this());
  });
}

void ControlLink::close_at_coordinator(bool is_reset) {
  if (!open_at_coordinator_) return;
  open_at_coordinator_ = false;
  reset_by_coordinator_ = is_reset;
  if (loses_ends_) return;
  down([this] {
    open_at_rank_ = false;
    rank_->closed(shared_from_this());
  });
}

}  // namespace cadre::simulation
