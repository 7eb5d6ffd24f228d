// A rank's end of the control channel, as runtime/control_client.h has it: connects anew by itself, introduces itself
// first, obeys no term lower than the highest that it has heard of.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "tests/unit/runtime/simulation/simulated_network.h"

namespace cadre::simulation {

class SimulatedClient {
 public:
  struct Callbacks {
    std::function<LinkPointer()> connect = {};  // null: nobody answers now
    std::function<void()> on_urgent = {}, on_message = {}, on_lost = {};
  };
  SimulatedClient(Process& process, SimulatedClock& clock, Callbacks callbacks)
      : process_(process), clock_(clock), callbacks_(std::move(callbacks)) {}

  void begin();
  void introduce(const runtime::MemberMessage& message);
  void send(const runtime::MemberMessage& message);
  std::optional<runtime::CoordinatorMessage> next();
  // Closes, with all that was sent delivered.
  void finish();

  void received(const LinkPointer& link, const runtime::CoordinatorMessage& message);
  void beat_answered(const LinkPointer& link);
  void closed(const LinkPointer& link);
  // The connection breaks: noticed here now, there later or never.
  void break_connection(bool is_reset);
  const LinkPointer& link() const { return link_; }

 private:
  void connect(Duration limit);
  void attempt();
  void serve(const LinkPointer& link);
  void beat(const LinkPointer& link);
  void lose();

  Process& process_;
  SimulatedClock& clock_;
  Callbacks callbacks_;
  LinkPointer link_;  // while authenticated
  std::optional<runtime::MemberMessage> introduction_;
  std::vector<runtime::MemberMessage> waiting_;
  std::deque<runtime::CoordinatorMessage> inbox_;
  std::uint64_t term_ = 0;
  bool is_refused_ = false, is_finishing_ = false;
  TimePoint until_{}, heard_{};
  Duration pause_{};
};

}  // namespace cadre::simulation
