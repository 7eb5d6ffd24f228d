// What simulated ranks send each other, and what they move when the view changes.
#include <algorithm>

#include "runtime/error.h"
#include "tests/unit/runtime/simulation/simulated_cluster.h"
#include "tests/unit/runtime/simulation/simulated_rank.h"

namespace cadre::simulation {

// Residents complete their parameters; all else is under way while they compute, and has come with the exchange.
void SimulatedRank::keep_state(const runtime::NewView& message) {
  const runtime::Placement sources = holders_left(message);
  if (sources.holders.size() < chunks()) return;
  std::vector<bool> residents;
  for (const runtime::Member& member : place_->view.members) residents.push_back(message.resident_in.has(member));
  const auto move = [this, sources, residents] {
    move_parameters(residents);
    move_state(sources);
  };
  if (residents[place_->self]) {
    return gather(sources, residents, [this, move, order = message.order] {
      move();
      perform(order);
    });
  }
  move();
  await([this, order = message.order] {
    check_parameters("received");
    place_->has_parameters = true;
    perform(order);
  });
}

runtime::Placement SimulatedRank::holders_left(const runtime::NewView& message) {
  const runtime::Placement residency = runtime::place(message.resident_in, chunks(), message.state_copies);
  runtime::Placement sources;
  for (const std::vector<std::uint32_t>& holders : residency.holders) {
    std::vector<std::uint32_t> left;
    for (const std::uint32_t holder : holders) {
      const runtime::Member& member = message.resident_in.members.at(holder);
      if (place_->view.has(member)) left.push_back(static_cast<std::uint32_t>(*place_->view.index_of(member.rank)));
    }
    cluster_.require(!left.empty(),
                     [&] { return runtime::say(describe(), ": nobody holds chunk ", sources.holders.size()); });
    if (left.empty()) break;
    sources.holders.push_back(std::move(left));
  }
  return sources;
}

// From all residents, another one for each chunk.
void SimulatedRank::move_parameters(const std::vector<bool>& residents) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t member = 0; member < residents.size(); ++member) {
    if (residents[member]) all.push_back(member);
  }
  runtime::Placement givers;
  for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) givers.holders.push_back({all[chunk % all.size()]});
  std::vector<bool> newcomers = residents;
  newcomers.flip();
  exchange_values(givers, newcomers);
}

void SimulatedRank::move_state(const runtime::Placement& sources) {
  for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
    const std::vector<std::uint32_t>& left = sources.holders[chunk];
    for (const std::uint32_t holder : place_->placement.holders[chunk]) {
      if (std::find(left.begin(), left.end(), holder) != left.end()) continue;
      const Frame frame{Frame::Kind::kMove, chunk, {}, {}};
      if (left.front() == place_->self) {
        send_frame(holder, {frame.kind, chunk, {}, {0, moments_.at(chunk)}});
      } else if (holder == place_->self) {
        expect(left.front(), frame, [this, chunk](const ChunkState& state) { moments_[chunk] = state.moment; });
      }
    }
  }
}

void SimulatedRank::gather(const runtime::Placement& holders, const std::vector<bool>& receivers,
                           const Continuation& then) {
  place_->has_parameters = false;
  exchange_values(holders, receivers);
  await([this, then] {
    check_parameters("gathered");
    place_->has_parameters = true;
    then();
  });
}

void SimulatedRank::exchange_values(const runtime::Placement& holders, const std::vector<bool>& receivers) {
  for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
    const std::vector<std::uint32_t>& having = holders.holders[chunk];
    const Frame frame{Frame::Kind::kGather, chunk, {}, {values_[chunk], 0}};
    for (std::uint32_t member = 0; member < place_->view.size(); ++member) {
      if (!receivers.empty() && !receivers[member]) continue;
      if (std::find(having.begin(), having.end(), member) != having.end()) continue;
      const std::uint32_t giver = having[(chunk + member) % having.size()];
      if (giver == place_->self) send_frame(member, frame);
      if (member == place_->self) {
        expect(giver, frame, [this, chunk](const ChunkState& state) { values_[chunk] = state.values; });
      }
    }
  }
}

void SimulatedRank::send_frame(std::uint32_t to, const Frame& frame) {
  if (!place_->is_aborted) cluster_.send_frame(*this, place_->view, to, place_->self, frame);
}

void SimulatedRank::expect(std::uint32_t from, const Frame& frame, std::function<void(const ChunkState&)> take) {
  expected_[from].push_back({frame, std::move(take)});
}

void SimulatedRank::await(Continuation then) {
  if (place_->is_aborted) {
    expected_.clear();
    return idle();
  }
  at_ = At::kWaiting;
  then_ = std::move(then);
  pump();
}

void SimulatedRank::receive_frame(const runtime::Stamp& stamp, std::uint32_t from, const Frame& frame) {
  if (at_ == At::kEnded || (place_ && stamp < place_->view.stamp)) return;
  mail_[stamp][from].push_back(frame);
  if (at_ != At::kWaiting) return;
  pump();
  look();
}

void SimulatedRank::pump() {
  auto& mail = mail_[place_->view.stamp];
  bool is_complete = true;
  for (auto& [from, expected] : expected_) {
    std::deque<Frame>& arrived = mail[from];
    while (!expected.empty() && !arrived.empty()) {
      cluster_.require(expected.front().frame.is_same_transfer(arrived.front()), [&] {
        return runtime::say(describe(), ": a transfer of member ", from, " that the plan does not have");
      });
      expected.front().take(arrived.front().content);
      expected.pop_front();
      arrived.pop_front();
    }
    is_complete = is_complete && expected.empty();
  }
  if (!is_complete) return;
  expected_.clear();
  idle();
  std::exchange(then_, {})();
}

}  // namespace cadre::simulation
