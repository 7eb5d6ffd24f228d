#include "tests/unit/runtime/simulation/simulated_client.h"

#include <algorithm>

namespace cadre::simulation {

using namespace std::chrono_literals;

void SimulatedClient::begin() {
  connect(60s);
}

void SimulatedClient::introduce(const runtime::MemberMessage& message) {
  if (link_ && !introduction_) link_->send(message);
  introduction_ = message;
}

void SimulatedClient::send(const runtime::MemberMessage& message) {
  if (link_) {
    link_->send(message);
  } else {
    waiting_.push_back(message);
  }
}

std::optional<runtime::CoordinatorMessage> SimulatedClient::next() {
  if (inbox_.empty()) return std::nullopt;
  runtime::CoordinatorMessage message = std::move(inbox_.front());
  inbox_.pop_front();
  return message;
}

void SimulatedClient::finish() {
  is_finishing_ = true;
  if (link_) link_->close_at_rank();
  link_.reset();
}

void SimulatedClient::connect(Duration limit) {
  until_ = clock_.now() + limit;
  pause_ = 20ms;
  attempt();
}

void SimulatedClient::attempt() {
  if (is_finishing_ || link_) return;
  if (const LinkPointer link = callbacks_.connect()) return serve(link);
  if (clock_.now() + pause_ >= until_) return callbacks_.on_lost();
  process_.after(pause_, [this] { attempt(); });
  pause_ = std::min<Duration>(2 * pause_, 500ms);
}

void SimulatedClient::serve(const LinkPointer& link) {
  link_ = link;
  if (introduction_) link_->send(*introduction_);
  for (const runtime::MemberMessage& message : std::exchange(waiting_, {})) link_->send(message);
  heard_ = clock_.now();
  beat(link);
}

void SimulatedClient::beat(const LinkPointer& link) {
  if (link != link_) return;
  if (clock_.now() - heard_ > 30s) return break_connection(false);
  link_->send(runtime::Heartbeat{});
  process_.after(1s, [this, link] { beat(link); });
}

void SimulatedClient::received(const LinkPointer& link, const runtime::CoordinatorMessage& message) {
  if (link != link_) return;
  heard_ = clock_.now();
  if (const std::uint64_t term = runtime::term_of(message); term != 0) {
    if (term < term_) return break_connection(false);
    term_ = term;
  }
  is_refused_ = std::holds_alternative<runtime::Refused>(message);
  if (runtime::is_urgent(message)) callbacks_.on_urgent();
  inbox_.push_back(message);
  callbacks_.on_message();
}

void SimulatedClient::beat_answered(const LinkPointer& link) {
  if (link == link_) heard_ = clock_.now();
}

void SimulatedClient::closed(const LinkPointer& link) {
  if (link == link_) lose();
}

void SimulatedClient::break_connection(bool is_reset) {
  if (!link_) return;
  link_->close_at_rank(is_reset);
  lose();
}

void SimulatedClient::lose() {
  link_.reset();
  if (is_finishing_) return;
  if (is_refused_ || !introduction_) return callbacks_.on_lost();
  connect(30s);
}

}  // namespace cadre::simulation
