// What the coordinator's decisions cost with 100, 1,000 and 10,000 ranks: a vote (each rank's progress and vote in, the
// commit out) and a view change (a rank lost, all reports in, the next view out), without sockets and disk.
//
//   build/coordinator_bench [micro-batches a rank, 1]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/chunks.h"
#include "runtime/coordinator.h"
#include "runtime/error.h"
#include "runtime/placement.h"

namespace cadre::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

constexpr std::uint64_t kChunks = 1000;  // 65.5 million parameters
constexpr int kRounds = 15;

class Bench {
 public:
  Bench(std::uint32_t ranks, std::uint32_t each, bool keep_state)
      : micro_batches_(ranks * each), coordinator_({.expected_ranks = ranks, .keep_state = keep_state}, {}) {
    const Workload workload{.total_steps = 1000,
                            .epochs = {{1000, micro_batches_, micro_batches_}},
                            .elements = kChunks * kChunkElements,
                            .digest = "bench"};
    for (Rank rank = 0; rank < ranks; ++rank) {
      take(coordinator_.on_message(rank + 1, Join{{.rank = rank, .host = "host-" + std::to_string(rank / 8)}}, {}));
      take(coordinator_.on_message(rank + 1, Ready{workload, {{"10.0.0.1", 4000}}}, {}));
    }
  }

  // Milliseconds of the coordinator's own. The messages are made before.
  double vote() {
    std::vector<std::pair<Connection, MemberMessage>> messages = votes();
    const Clock::time_point begin = Clock::now();
    for (auto& [from, message] : messages) take(coordinator_.on_message(from, std::move(message), {}));
    const double spent = milliseconds_since(begin);
    CADRE_CHECK(coordinator_.done_steps() == ++votes_, coordinator_.done_steps(), " steps after ", votes_, " votes");
    return spent;
  }

  double lose_one() {
    const View view = coordinator_.view();
    const Rank lost = view.members[view.size() / 2].rank;
    std::vector<std::pair<Connection, MemberMessage>> reports;
    const std::vector<Range> shares = share_out(micro_batches_, view.size());
    for (std::size_t m = 0; m < view.size(); ++m) {
      if (view.members[m].rank == lost) continue;
      Report report{view.stamp,
                    coordinator_.done_steps(),
                    coordinator_.done_steps(),
                    whole_subtrees(shares[m], micro_batches_),
                    {}};
      for (std::uint32_t b = shares[m].begin; b < shares[m].end; ++b) report.results.push_back({b, 1, 100, 90, {b}});
      reports.emplace_back(view.members[m].rank + 1, std::move(report));
    }
    const Clock::time_point begin = Clock::now();
    take(coordinator_.on_closed(lost + 1, "the connection was closed", {}));
    for (auto& [from, message] : reports) take(coordinator_.on_message(from, std::move(message), {}));
    return milliseconds_since(begin);
  }

 private:
  void take(Effects&& effects) {
    for (Effect& effect : effects) {
      // There is none: all go back to the seeded start.
      if (std::holds_alternative<FindCheckpoint>(effect)) take(coordinator_.on_checkpoint_found({}, {}));
      auto* tell = std::get_if<Tell>(&effect);
      if (tell == nullptr) continue;
      if (auto* view = std::get_if<NewView>(&tell->message)) {
        shares_ = std::move(view->order.shares);
        if (view->load) votes_ = 0;
        placement_.holders.clear();
      }
      if (std::holds_alternative<Commit>(tell->message)) shares_.clear();
    }
  }

  std::vector<std::pair<Connection, MemberMessage>> votes() {
    const View& view = coordinator_.view();
    if (placement_.holders.empty()) {
      placement_ = place(view, kChunks, 2);
      owned_.assign(view.size(), {});
      for (std::uint64_t c = 0; c < kChunks; ++c) owned_[placement_.owner_of(c)].push_back(c);
    }
    std::vector<std::pair<Connection, MemberMessage>> messages;
    const std::uint64_t step = coordinator_.done_steps();
    const std::vector<Range> even = share_out(micro_batches_, view.size());
    for (std::size_t m = 0; m < view.size(); ++m) {
      const Connection from = view.members[m].rank + 1;
      for (const Range range : shares_.empty() ? std::vector<Range>{even[m]} : shares_[m].compute) {
        for (std::uint32_t b = range.begin; b < range.end; ++b) {
          messages.emplace_back(from, Progress{view.stamp, step, {b, 1.5, 100, 90, {b, b + 1, b + 2, b + 3}}});
        }
      }
      Prepared vote{view.stamp, step, {}, {0, 0}, 7};
      for (const std::uint64_t chunk : owned_[m]) vote.norms.push_back({chunk, 0.1});
      messages.emplace_back(from, std::move(vote));
    }
    return messages;
  }

  std::uint32_t micro_batches_;
  std::uint64_t votes_ = 0;  // since the last load
  Coordinator coordinator_;
  std::vector<Share> shares_;
  Placement placement_;
  std::vector<std::vector<std::uint64_t>> owned_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(std::uint32_t ranks, std::uint32_t each, bool keep_state) {
  Bench bench(ranks, each, keep_state);
  bench.vote();
  std::vector<double> votes, changes;
  for (int round = 0; round < kRounds; ++round) votes.push_back(bench.vote());
  for (int round = 0; round < kRounds; ++round) {
    changes.push_back(bench.lose_one());
    bench.vote();
  }
  std::printf("%6u ranks  %-10s vote %8.2f ms (worst %8.2f)   view change %8.2f ms (worst %8.2f)\n", ranks,
              keep_state ? "keep state" : "roll back", median(votes), *std::max_element(votes.begin(), votes.end()),
              median(changes), *std::max_element(changes.begin(), changes.end()));
}

}  // namespace
}  // namespace cadre::runtime

int main(int count, char** arguments) {
  const auto each = static_cast<std::uint32_t>(count > 1 ? std::max(1, std::atoi(arguments[1])) : 1);
  for (const std::uint32_t ranks : {100U, 1000U, 10000U}) {
    for (const bool keep_state : {false, true}) cadre::runtime::measure(ranks, each, keep_state);
  }
}
