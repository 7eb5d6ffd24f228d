#include "runtime/step_votes.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/salvage.h"

namespace cadre::runtime {
namespace {

View view_of(std::size_t members) {
  View view{{1, 0, 1}, {}};
  for (Rank rank = 0; rank < members; ++rank) view.members.push_back({.rank = rank, .host = std::to_string(rank)});
  return view;
}

Prepared vote_of(const Placement& placement, std::uint32_t member, std::uint64_t parameters = 7) {
  Prepared vote{{1, 0, 1}, 4, {}, {10, 10}, parameters};
  for (const std::uint64_t chunk : placement.chunks_of(member, 0)) vote.norms.push_back({chunk, 2.0});
  return vote;
}

class StepVotesTest : public testing::Test {
 protected:
  StepVotesTest() { votes.begin({4, 4, view, placement, 2}, {}); }
  Progress progress(std::uint32_t index) { return {{1, 0, 1}, 4, {index, 1.0 + index, 20, 10, {index}}}; }

  View view = view_of(2);
  Placement placement = place(view, 3, 2);
  StepVotes votes;
};

TEST_F(StepVotesTest, AStepIsCompleteWithTheLastVote) {
  for (const std::uint32_t index : {3, 0, 2, 1}) {
    EXPECT_EQ(votes.take(index / 2, progress(index)).as, Taken::As::kTaken);
    EXPECT_EQ(votes.take(index / 2, progress(index)).as, Taken::As::kIgnored);
  }
  EXPECT_EQ(votes.take(1, vote_of(placement, 1)).as, Taken::As::kTaken);
  EXPECT_EQ(votes.take(1, vote_of(placement, 1)).as, Taken::As::kIgnored);
  EXPECT_FALSE(votes.complete());
  EXPECT_EQ(votes.take(0, vote_of(placement, 0)).as, Taken::As::kTaken);
  ASSERT_TRUE(votes.complete());
  EXPECT_EQ(votes.copy_problem(), "");
  EXPECT_EQ(votes.parameters_problem(), "");
  const Committed outcome = votes.outcome();
  EXPECT_EQ(outcome.step, 5U);
  EXPECT_EQ(outcome.loss, 10.0 / 40);
  EXPECT_EQ(outcome.grad_norm, std::sqrt(6.0));
  EXPECT_EQ(outcome.tokens, 80U);
  EXPECT_EQ(outcome.micro_batches[3].rank, 1U);
}

TEST_F(StepVotesTest, InRoundsMicroBatchesAreDealtOut) {
  votes.begin({.step = 4, .micro_batches = 4, .view = view, .placement = placement, .copies = 2, .in_rounds = true},
              {});
  for (const std::uint32_t index : {0, 1, 2, 3}) {
    EXPECT_EQ(votes.take(1 - index % 2, progress(index)).as, Taken::As::kBroken) << index;
    EXPECT_EQ(votes.take(index % 2, progress(index)).as, Taken::As::kTaken) << index;
  }
}

TEST_F(StepVotesTest, OtherStepsAreIgnored) {
  Progress other = progress(0);
  other.step = 3;
  EXPECT_EQ(votes.take(0, std::move(other)).as, Taken::As::kIgnored);
  Prepared vote = vote_of(placement, 0);
  vote.step = 5;
  EXPECT_EQ(votes.take(0, vote).as, Taken::As::kIgnored);
}

TEST_F(StepVotesTest, BrokenVotesAreTold) {
  votes.take(0, progress(0));
  EXPECT_EQ(votes.take(0, vote_of(placement, 0)).as, Taken::As::kBroken) << "one micro-batch is missing";
  votes.take(0, progress(1));
  Prepared others = vote_of(placement, 1);
  others.norms.resize(vote_of(placement, 0).norms.size(), {99, 1});
  EXPECT_EQ(votes.take(0, others).as, Taken::As::kBroken) << "norms of another's chunks";
  Prepared more = vote_of(placement, 0);
  more.copy_digests.push_back(1);
  EXPECT_EQ(votes.take(0, more).as, Taken::As::kBroken) << "a copy too many";
  Prepared none = vote_of(placement, 0);
  none.norms.clear();
  EXPECT_EQ(votes.take(0, none).as, Taken::As::kBroken) << "no norms";
}

TEST(ClipScale, IsOneWithoutALimitAndBelowIt) {
  EXPECT_EQ(clip_scale_of(5, 0), 1);
  EXPECT_EQ(clip_scale_of(0.5, 1), 1);
  EXPECT_EQ(clip_scale_of(4, 1), 1 / (4 + 1e-6));
}

TEST(Salvage, HoldsEveryMicroBatchOnce) {
  const View view = view_of(3);
  const auto results = [](std::initializer_list<std::uint32_t> indices) {
    std::vector<MicroBatchResult> all;
    for (const std::uint32_t index : indices) all.push_back({index, 1, 2, 2, {}, 6});
    return all;
  };
  std::vector<Report> reports{
      {{1, 0, 7}, 4, 4, {{0, 2}, {2, 3}, {4, 9}, {5, 7}}, results({0, 1, 2, 5, 6})},  // {4, 9} and {5, 7}: no nodes
      {{1, 0, 7}, 4, 4, {{2, 4}, {4, 6}, {6, 7}}, results({2, 3, 4, 5})},  // 2 is the first's; 6 lacks a result
      {{1, 0, 7}, 4, 3, {{6, 8}}, results({6, 7})}};                       // of another step
  const Salvage salvaged = salvage(4, 8, view, reports);
  EXPECT_EQ(salvaged.shares[0].held, (std::vector<Range>{{0, 2}, {2, 3}}));
  EXPECT_EQ(salvaged.shares[1].held, (std::vector<Range>{{4, 6}}));
  EXPECT_TRUE(salvaged.shares[2].held.empty());
  EXPECT_EQ(salvaged.shares[0].compute, (std::vector<Range>{{3, 4}}));
  EXPECT_EQ(salvaged.shares[1].compute, (std::vector<Range>{{6, 7}}));
  EXPECT_EQ(salvaged.shares[2].compute, (std::vector<Range>{{7, 8}}));
  EXPECT_EQ(salvaged.kept.size(), 5U);
  EXPECT_EQ(salvaged.kept[0].from.view, 6U) << "a view before the one that is left";
}

}  // namespace
}  // namespace cadre::runtime
