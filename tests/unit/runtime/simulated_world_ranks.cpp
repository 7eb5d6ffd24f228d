// The ranks of a simulated world: what they compute, and how they answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/chunks.h"
#include "runtime/placement.h"
#include "runtime/step_votes.h"
#include "tests/unit/runtime/simulated_world.h"

namespace cadre::runtime {
namespace {

std::uint64_t mixed(std::uint64_t x) {
  x = (x + 0x9E3779B97F4A7C15U) * 0xBF58476D1CE4E5B9U;
  return x ^ (x >> 29);
}

double fraction(std::uint64_t x) {
  return static_cast<double>(mixed(x) >> 11) / 9007199254740992.0;
}

const char* name_of(Order::Kind kind) {
  constexpr const char* kNames[] = {"train", "evaluate", "write", "wait", "end"};
  return kNames[static_cast<int>(kind)];
}

// Steps count from 0 here: the one that follows `done` updates.
std::uint64_t digest_of(std::uint64_t step, std::uint64_t chunk) {
  return mixed(step * 7919 + chunk);
}

}  // namespace

// Powers of two as factors: exact, whether the compiler makes a fused multiply-add of them or not.
double loss_of(std::uint64_t step, std::uint32_t micro_batch) {
  return 32 * fraction(step * 1000003 + micro_batch);
}
double squares_of(std::uint64_t step, std::uint64_t chunk) {
  return fraction(~(step * 1000033 + chunk));
}
std::uint64_t parameters_after(std::uint64_t before, std::uint64_t step, double clip_scale) {
  return mixed(before ^ mixed(step) ^ std::bit_cast<std::uint64_t>(clip_scale));
}

void SimulatedWorld::receive(SimulatedRank& rank, const CoordinatorMessage& message) {
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    rank.number = welcome->rank;
    rank.incarnation = welcome->incarnation;
    if (!std::exchange(rank.ready, true)) rank.outbox.push_back(Ready{workload_, {{"127.0.0.1", 1}}});
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    rank.refused = refused->reason;
  } else if (const auto* fence = std::get_if<Fence>(&message)) {
    // Of a new coordinator, the term is later than that of the view.
    EXPECT_GE(fence->stamp.term, rank.stamp.term);
    EXPECT_EQ(fence->stamp.generation, rank.stamp.generation);
    EXPECT_GE(fence->stamp.view, rank.stamp.view);
    // What it had not sent yet it never sends.
    std::erase_if(rank.outbox, [](const MemberMessage& message) {
      return !std::holds_alternative<ShardWritten>(message) && !std::holds_alternative<ShardFailed>(message);
    });
    rank.outbox.push_back(Report{rank.stamp, rank.done, rank.step, rank.held, rank.results});
  } else if (const auto* view = std::get_if<NewView>(&message)) {
    EXPECT_GT(view->view.stamp, rank.stamp);
    EXPECT_GE(view->view.stamp, last_stamp_);
    last_stamp_ = view->view.stamp;
    rank.stamp = view->view.stamp;
    rank.view = view->view;
    rank.members = view->view.size();
    const auto index = view->view.index_of(rank.number);
    ASSERT_TRUE(index.has_value());
    rank.index = static_cast<std::uint32_t>(*index);
    EXPECT_EQ(view->view.members[rank.index].incarnation, rank.incarnation);
    if (view->load) {
      rank.done = view->order.step;
      const auto name = std::filesystem::path(view->checkpoint).filename().string();
      if (view->checkpoint.empty()) {
        EXPECT_EQ(view->order.step, 0U);
        rank.parameters = kSeededParameters;
      } else {
        EXPECT_EQ(step_of_checkpoint(name), view->order.step);
        EXPECT_EQ(checkpoints.count(view->order.step), 1U);
        EXPECT_EQ(damaged.count(view->order.step), 0U);
        rank.parameters = saved_parameters_.at(view->order.step);
      }
      rank.held.clear();
      rank.results.clear();
    } else {
      receive_state(rank, *view);
    }
    obey(rank, view->order);
  } else if (const auto* commit = std::get_if<Commit>(&message)) {
    EXPECT_EQ(commit->stamp.view, rank.stamp.view);
    if (commit->step + 1 == rank.done && commit->stamp.term > rank.stamp.term) return;  // said again
    EXPECT_EQ(commit->step, rank.done);
    if (commit->apply) rank.parameters = parameters_after(rank.parameters, commit->step, commit->clip_scale);
    ++rank.done;
    if (gathering.count(rank.number) == 0) obey(rank, commit->next);
  } else if (const auto* proceed = std::get_if<Proceed>(&message)) {
    if (proceed->next.kind != Order::Kind::kEnd) {
      EXPECT_EQ(proceed->stamp, rank.stamp);
    }
    obey(rank, proceed->next);
  }
}

// Of every chunk a holder is left, and who comes in has all from the holders.
void SimulatedWorld::receive_state(SimulatedRank& rank, const NewView& message) {
  const std::uint64_t chunks = ChunkSpace{workload_.elements}.count();
  for (const auto& holders : place(message.resident_in, chunks, options_.policy.state_copies).holders) {
    EXPECT_TRUE(std::any_of(holders.begin(), holders.end(), [&](std::uint32_t holder) {
      return message.view.has(message.resident_in.members.at(holder));
    }));
  }
  if (message.resident_in.has({.rank = rank.number, .incarnation = rank.incarnation})) return;
  rank.done = message.order.step;
  for (const auto& [connection, other] : ranks_) {
    const bool is_resident =
        other.alive && message.resident_in.has({.rank = other.number, .incarnation = other.incarnation});
    if (is_resident) rank.parameters = other.parameters;
  }
}

void SimulatedWorld::obey(SimulatedRank& rank, const Order& order) {
  if (rank.index == 0) {
    orders.push_back(std::string(name_of(order.kind)) + " " + std::to_string(order.step) +
                     (order.snapshot ? " snapshot" : ""));
  }
  if (order.kind == Order::Kind::kEnd) {
    rank.ended = order;
    rank.outbox.clear();
    return;
  }
  EXPECT_EQ(order.step, rank.done);
  const ChunkSpace chunks{workload_.elements};
  const Placement placement = place(rank.view, chunks.count(), options_.policy.state_copies);
  if (order.snapshot && !placement.chunks_of(rank.index, 0).empty() && slow_disks.count(rank.number) == 0) {
    saved_parameters_[rank.done] = rank.parameters;
    const std::string problem = writing ? writing(rank.number, rank.done) : "";
    if (problem.empty()) {
      rank.outbox.push_back(ShardWritten{rank.stamp, rank.done, "rank-" + std::to_string(rank.number) + ".safetensors",
                                         std::string(64, 'a'), 100});
    } else {
      rank.outbox.push_back(ShardFailed{rank.stamp, rank.done, problem});
    }
  }
  if (order.kind == Order::Kind::kTrain) {
    const std::uint32_t count = workload_.micro_batches_of(order.step);
    Share share;
    if (order.shares.empty()) {
      share.compute = {share_out(count, rank.members)[rank.index]};
    } else {
      share = order.shares.at(rank.index);
    }
    std::vector<MicroBatchResult> kept;
    for (const Range held : share.held) {
      EXPECT_EQ(rank.step, order.step);
      for (MicroBatchResult& result : rank.results) {
        if (held.begin <= result.index && result.index < held.end) kept.push_back(result);
      }
    }
    rank.step = order.step;
    rank.results = kept;
    rank.held = share.held;
    for (const Range range : share.compute) {
      for (std::uint32_t m = range.begin; m < range.end; ++m) {
        MicroBatchResult result{m, loss_of(order.step, m), 20, 10, {m, m + 1000}, rank.stamp.view};
        rank.results.push_back(result);
        rank.outbox.push_back(Progress{rank.stamp, order.step, std::move(result)});
        ++computed;
      }
      for (const Range node : whole_subtrees(range, count)) rank.held.push_back(node);
    }
    Prepared vote{rank.stamp, order.step, {}, {}, rank.parameters};
    for (const std::uint64_t chunk : placement.chunks_of(rank.index, 0)) {
      const bool is_finite = chunk != 0 || nonfinite.count(order.step) == 0;
      vote.norms.push_back({chunk, is_finite ? squares_of(order.step, chunk) : std::nan("")});
    }
    const std::size_t copies = placement.holders.front().size();
    for (std::size_t copy = 0; copy < copies; ++copy) {
      std::uint64_t digest = 0;
      for (const std::uint64_t chunk : placement.chunks_of(rank.index, copy)) digest += digest_of(order.step, chunk);
      vote.copy_digests.push_back(digest);
    }
    std::vector<ChunkDigest> held;
    for (std::size_t copy = 0; copy < copies; ++copy) {
      for (const std::uint64_t chunk : placement.chunks_of(rank.index, copy)) {
        const std::uint64_t change = flip && flip(rank, order.step) ? mixed(2 * chunk + copy + 1) : 0;
        held.push_back({chunk, digest_of(order.step, chunk) + change});
        vote.copy_digests[copy] += change;
      }
    }
    if (order.audit) {
      EXPECT_TRUE(share.held.empty());
      vote.held = held;
      if (rank.said_of == order.step) vote.held_before = rank.said;
    }
    rank.said = held;
    rank.said_of = order.step;
    vote.compute_seconds = seconds_of ? seconds_of(rank) * static_cast<double>(rank.results.size() - kept.size()) : 0;
    if (change_vote) change_vote(rank, vote);
    rank.outbox.push_back(std::move(vote));
  } else if (order.kind == Order::Kind::kEvaluate) {
    Evaluated answer{rank.stamp, order.step, {}};
    const Range units = share_out(workload_.evaluation_units, rank.members)[rank.index];
    for (std::uint32_t unit = units.begin; unit < units.end; ++unit) {
      answer.units.push_back({unit, validation_loss(order.step) + unit / 1024.0, 3});
    }
    answer.parameters_digest = rank.parameters + (spoil && spoil(rank, order.step) ? 1 : 0);
    rank.outbox.push_back(std::move(answer));
  } else if (order.kind == Order::Kind::kWriteResult && rank.index == rank.view.writer()) {
    result_order = order;
    result_by = rank.number;
    const auto step = step_of_checkpoint(std::filesystem::path(order.checkpoint).filename().string());
    result_parameters = order.checkpoint.empty()           ? rank.parameters
                        : order.checkpoint == kSeededStart ? kSeededParameters
                                                           : saved_parameters_.at(step.value());
    rank.outbox.push_back(
        ResultWritten{rank.stamp, {{"adapter_model.safetensors", std::to_string(result_parameters)}}, ""});
  }
}

}  // namespace cadre::runtime
