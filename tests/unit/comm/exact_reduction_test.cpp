// The reduction between members that talk, at 1, 2, 3, 4 and 7 of them: the bits of the tree by its
// definition at every holder, whoever contributes what.
#include "comm/exact_reduction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <functional>
#include <random>
#include <thread>

#include "tests/unit/comm/asleep.h"
#include "tests/unit/comm/counting_communicator.h"
#include "tests/unit/comm/step_nodes.h"
#include "tests/unit/comm/transport_world.h"

namespace cadre::comm {
namespace {

using runtime::Range;

// Ten chunks, the last one short.
constexpr runtime::ChunkSpace kSpace{.elements = 9 * 32 + 7, .chunk_elements = 32};

// Bits, so that −0 and NaN count.
std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

// The gradients of a step's micro-batches, and every sum of them by the tree's definition.
class Step {
 public:
  Step(std::uint32_t micro_batches, std::mt19937& generator) {
    std::normal_distribution<float> normal(0, 1e3f);
    gradients_.assign(micro_batches, std::vector<float>(kSpace.elements));
    for (auto& gradient : gradients_) {
      for (float& value : gradient) value = normal(generator);
      gradient.front() = -0.0f;  // a missing operand that were taken for +0 would show
    }
  }

  std::uint32_t micro_batches() const { return static_cast<std::uint32_t>(gradients_.size()); }

  std::vector<float> sum_of(Range node) const {
    if (node.size() == 1) return gradients_[node.begin];
    const std::uint32_t middle = node.begin + runtime::split_of(node.size());
    std::vector<float> sum = sum_of({node.begin, middle});
    add_in_place(sum, sum_of({middle, node.end}));
    return sum;
  }

 private:
  std::vector<std::vector<float>> gradients_;
};

class ExactReductionTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { world_ = world_factories().front().make(GetParam()); }

  struct View {
    runtime::View members = {};
    runtime::Placement placement = {};
    Communicators communicators = {};
  };
  View next_view(std::size_t copies) {
    View view{.members = world_->plan_view()};
    view.placement = runtime::place(view.members, kSpace.count(), copies);
    for (int member = 0; member < world_->size(); ++member) {
      view.communicators.push_back(world_->enter(view.members, member));
    }
    return view;
  }

  // Every member contributes its nodes; every holder is to have the sum's bits, and nobody else anything.
  enum class As { kWhole, kByChunk, kInRounds };
  void expect_the_sum(const View& view, const Step& step, const Nodes& nodes, As as) {
    const std::vector<float> whole = step.sum_of({0, step.micro_batches()});
    bytes_between_hosts_ = 0;
    together(view.communicators, [&](Communicator& inner) {
      CountingCommunicator communicator(inner, hosts_);
      const auto self = static_cast<std::uint32_t>(communicator.rank());
      std::vector<std::vector<float>> sums;
      for (const Range& node : nodes[self]) sums.push_back(step.sum_of(node));
      std::size_t round = 0, left = 0;
      ExactReduction reduction(communicator, {.micro_batches = step.micro_batches(),
                                              .nodes = nodes,
                                              .chunks = kSpace,
                                              .placement = &view.placement,
                                              .hosts = host_first_ ? hosts_ : std::vector<std::uint32_t>(),
                                              .in_rounds = as == As::kInRounds,
                                              .on_left = [&](std::uint64_t chunk) {
                                                ++left;
                                                const runtime::ChunkRange range = kSpace.range(chunk);
                                                const std::span<float> sum = sums.at(round);
                                                std::ranges::fill(sum.subspan(range.begin, range.size()), 1.0f);
                                              }});
      for (std::vector<float>& sum : sums) {
        if (as == As::kInRounds) {
          reduction.contribute(sum);
          reduction.end_round();
          ++round;
          EXPECT_EQ(left, round * kSpace.count());
          continue;
        }
        if (as == As::kWhole) {
          reduction.contribute(sum);
          continue;
        }
        for (std::uint64_t chunk = kSpace.count(); chunk-- > 0;) {
          reduction.contribute_chunk(chunk, piece_of(sum, chunk));
        }
      }
      const ReducedChunks reduced = reduction.finish();
      bytes_between_hosts_ += communicator.bytes_between_hosts;
      for (std::uint64_t chunk = 0; chunk < kSpace.count(); ++chunk) {
        const auto& holders = view.placement.holders[chunk];
        const auto found = reduced.find(chunk);
        ASSERT_EQ(found != reduced.end(), std::find(holders.begin(), holders.end(), self) != holders.end()) << chunk;
        if (found == reduced.end()) continue;
        EXPECT_EQ(bits_of(found->second.values), bits_of(piece_of(whole, chunk))) << "chunk " << chunk;
      }
    });
  }

  static std::span<const float> piece_of(std::span<const float> values, std::uint64_t chunk) {
    const runtime::ChunkRange range = kSpace.range(chunk);
    return values.subspan(range.begin, range.size());
  }

  std::unique_ptr<World> world_;
  std::vector<std::uint32_t> hosts_ = {};  // of the members; empty: all on one
  bool host_first_ = true;                 // the plan is told
  std::atomic<std::uint64_t> bytes_between_hosts_ = 0;
};

constexpr std::uint32_t kMicroBatches[] = {1, 2, 3, 5, 6, 8, 13, 16, 31, 64};

TEST_P(ExactReductionTest, EveryHolderGetsTheBitsOfTheTree) {
  std::mt19937 generator(5);
  for (const std::size_t copies : {1u, 2u, 3u}) {
    const View view = next_view(copies);
    for (const std::uint32_t micro_batches : kMicroBatches) {
      SCOPED_TRACE(testing::Message() << micro_batches << " micro-batches, " << copies << " copies");
      const Step step(micro_batches, generator);
      expect_the_sum(view, step, even_shares(micro_batches, view.members.size()), As::kWhole);
    }
  }
}

TEST_P(ExactReductionTest, SharesWithHeldNodesGiveTheSameBits) {
  std::mt19937 generator(7);
  for (const std::size_t copies : {1u, 2u, 3u}) {
    const View view = next_view(copies);
    for (const std::uint32_t micro_batches : kMicroBatches) {
      SCOPED_TRACE(testing::Message() << micro_batches << " micro-batches, " << copies << " copies");
      const Step step(micro_batches, generator);
      expect_the_sum(view, step, scattered(micro_batches, view.members.size(), generator),
                     micro_batches % 2 == 0 ? As::kByChunk : As::kWhole);
    }
  }
}

TEST_P(ExactReductionTest, RoundsGiveTheSameBits) {
  std::mt19937 generator(17);
  for (const std::size_t copies : {1u, 2u}) {
    const View view = next_view(copies);
    for (const std::uint32_t micro_batches : kMicroBatches) {
      SCOPED_TRACE(testing::Message() << micro_batches << " micro-batches, " << copies << " copies");
      const Step step(micro_batches, generator);
      const std::size_t members = view.members.size();
      expect_the_sum(view, step, runtime::deal_out(micro_batches, members), As::kInRounds);
      expect_the_sum(view, step, scattered(micro_batches, members, generator), As::kInRounds);
    }
  }
}

// Neighbours on two hosts, in turn on two, and one alone beside the rest.
TEST_P(ExactReductionTest, OnSeveralHostsTheBitsAreTheSameAndFewerBytesPassBetweenThem) {
  std::mt19937 generator(19);
  const auto members = static_cast<std::uint32_t>(GetParam());
  for (const auto& host_of : {std::function([&](std::uint32_t m) { return m < (members + 1) / 2 ? 0u : 1u; }),
                              std::function([](std::uint32_t m) { return m % 2; }),
                              std::function([](std::uint32_t m) { return m == 0 ? 0u : 1u; })}) {
    hosts_.clear();
    for (std::uint32_t member = 0; member < members; ++member) hosts_.push_back(host_of(member));
    for (const std::size_t copies : {1u, 2u}) {
      const View view = next_view(copies);
      for (const std::uint32_t micro_batches : kMicroBatches) {
        SCOPED_TRACE(testing::Message() << micro_batches << " micro-batches, " << copies << " copies");
        const Step step(micro_batches, generator);
        for (const auto& [nodes, as] : {std::pair(even_shares(micro_batches, members), As::kByChunk),
                                        std::pair(scattered(micro_batches, members, generator), As::kWhole),
                                        std::pair(runtime::deal_out(micro_batches, members), As::kInRounds),
                                        std::pair(scattered(micro_batches, members, generator), As::kInRounds)}) {
          host_first_ = false;
          expect_the_sum(view, step, nodes, as);
          const std::uint64_t straight = bytes_between_hosts_;
          host_first_ = true;
          expect_the_sum(view, step, nodes, as);
          EXPECT_LE(bytes_between_hosts_, straight);
        }
      }
    }
  }
}

// What is under way when a reduction is given up must not write into memory that is gone.
TEST_P(ExactReductionTest, AReductionThatIsGivenUpAbortsItsView) {
  const View view = next_view(1);
  Nodes nodes(view.members.size());
  nodes.back() = {{0, 2}};
  {
    const ExactReduction given_up(*view.communicators[0],
                                  {.micro_batches = 2, .nodes = nodes, .chunks = kSpace, .placement = &view.placement});
  }
  EXPECT_THROW(view.communicators[0]->wait(view.communicators[0]->start({})), Aborted);
}

// One that waits for what others do not contribute is woken from another thread.
TEST_P(ExactReductionTest, AnAbortEndsTheWaitForOthers) {
  for (const bool in_rounds : {false, true}) {
    const View view = next_view(1);
    if (view.members.size() == 1) return;
    const auto members = static_cast<std::uint32_t>(view.members.size());
    Nodes nodes(members);
    for (std::uint32_t member = 0; member < members; ++member) nodes[member] = {{member, member + 1}};
    Communicator& communicator = *view.communicators[0];
    ExactReduction reduction(communicator, {.micro_batches = members,
                                            .nodes = nodes,
                                            .chunks = kSpace,
                                            .placement = &view.placement,
                                            .in_rounds = in_rounds});
    const std::vector<float> sum(kSpace.elements);
    reduction.contribute(sum);
    Asleep waits([&] { EXPECT_THROW(reduction.finish(), Aborted); });
    waits.until_asleep();
    communicator.abort("the view changes");
  }
}

TEST_P(ExactReductionTest, OneMemberMayContributeEverything) {
  std::mt19937 generator(11);
  const View view = next_view(2);
  for (std::size_t member = 0; member < view.members.size(); ++member) {
    const Step step(6, generator);
    Nodes nodes(view.members.size());
    nodes[member] = {{0, 6}};
    expect_the_sum(view, step, nodes, As::kWhole);
  }
}

TEST_P(ExactReductionTest, FewerNodesThanPlannedAreAFailedCheck) {
  const View view = next_view(1);
  Nodes nodes(view.members.size());
  nodes[0] = {{0, 2}};
  ExactReduction reduction(*view.communicators[0],
                           {.micro_batches = 2, .nodes = nodes, .chunks = kSpace, .placement = &view.placement});
  EXPECT_THROW(reduction.finish(), std::logic_error);
  const std::vector<float> sum(kSpace.elements);
  reduction.contribute(sum);
  EXPECT_THROW(reduction.contribute(sum), std::logic_error);
  EXPECT_THROW(reduction.contribute(std::span(sum).first(3)), std::logic_error);
}

// Two hosts of two ranks, aligned: each host sends what one rank would, in one piece of each chunk.
class FourMembers : public ExactReductionTest {};
TEST_P(FourMembers, SendBetweenTwoHostsWhatTwoMembersWould) {
  std::mt19937 generator(23);
  hosts_ = {0, 0, 1, 1};
  const View view = next_view(1);
  const Step step(16, generator);
  host_first_ = false;
  expect_the_sum(view, step, even_shares(16, 4), As::kWhole);
  EXPECT_EQ(bytes_between_hosts_, 2 * kSpace.elements * sizeof(float));
  host_first_ = true;
  expect_the_sum(view, step, even_shares(16, 4), As::kWhole);
  EXPECT_EQ(bytes_between_hosts_, kSpace.elements * sizeof(float));
  host_first_ = false;
  expect_the_sum(view, step, runtime::deal_out(16, 4), As::kInRounds);
  EXPECT_EQ(bytes_between_hosts_, 4 * 2 * kSpace.elements * sizeof(float));
  host_first_ = true;
  expect_the_sum(view, step, runtime::deal_out(16, 4), As::kInRounds);
  EXPECT_EQ(bytes_between_hosts_, 4 * kSpace.elements * sizeof(float));
}

// Waits where it is only asked, so that what could leave early does.
class Patient final : public CountingCommunicator {
 public:
  using CountingCommunicator::CountingCommunicator;
  bool is_done(Ticket ticket) override {
    while (!CountingCommunicator::is_done(ticket)) std::this_thread::yield();
    return true;
  }
};

TEST_P(FourMembers, SendBetweenHostsWhatIsCompleteWhileTheyContribute) {
  std::mt19937 generator(29);
  hosts_ = {0, 0, 1, 1};
  const View view = next_view(1);
  const Step step(16, generator);
  const Nodes nodes = even_shares(16, 4);
  std::atomic<std::uint64_t> early = 0, all = 0;
  together(view.communicators, [&](Communicator& inner) {
    Patient communicator(inner, hosts_);
    ExactReduction reduction(
        communicator,
        {.micro_batches = 16, .nodes = nodes, .chunks = kSpace, .placement = &view.placement, .hosts = hosts_});
    std::vector<std::vector<float>> sums;
    for (const Range& node : nodes[static_cast<std::size_t>(communicator.rank())]) sums.push_back(step.sum_of(node));
    for (const std::vector<float>& sum : sums) reduction.contribute(sum);
    early += communicator.bytes_between_hosts;
    reduction.finish();
    all += communicator.bytes_between_hosts;
  });
  EXPECT_EQ(early, kSpace.elements * sizeof(float));
  EXPECT_EQ(all, early);
}
INSTANTIATE_TEST_SUITE_P(Members, FourMembers, testing::Values(4));

INSTANTIATE_TEST_SUITE_P(Members, ExactReductionTest, testing::Values(1, 2, 3, 4, 7));

}  // namespace
}  // namespace cadre::comm
