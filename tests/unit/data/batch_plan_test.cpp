#include "trainer/data/batch_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <random>

#include "trainer/data/packing.h"

namespace cadre::data {
namespace {

std::vector<std::uint32_t> rows_of(const std::vector<Step>& steps) {
  std::vector<std::uint32_t> rows;
  for (const Step& step : steps)
    for (const MicroBatch& batch : step.micro_batches) rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
  return rows;
}

bool same(const std::vector<Step>& a, const std::vector<Step>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Step& x, const Step& y) {
    return std::equal(x.micro_batches.begin(), x.micro_batches.end(), y.micro_batches.begin(), y.micro_batches.end(),
                      [](const MicroBatch& m, const MicroBatch& n) { return m.rows == n.rows; });
  });
}

TEST(Permutation, IsPinned) {
  // A run that is resumed by a later build must see the same order: these values never change.
  EXPECT_EQ(permutation(8, 42, 0), (std::vector<std::uint32_t>{2, 6, 5, 0, 3, 7, 4, 1}));
  EXPECT_EQ(permutation(8, 42, 1), (std::vector<std::uint32_t>{7, 5, 6, 0, 4, 3, 1, 2}));
}

TEST(Permutation, EdgesAndDifference) {
  EXPECT_TRUE(permutation(0, 1, 0).empty());
  EXPECT_EQ(permutation(1, 1, 0), std::vector<std::uint32_t>{0});
  EXPECT_NE(permutation(100, 1, 0), permutation(100, 2, 0));
  EXPECT_NE(permutation(100, 1, 0), permutation(100, 1, 1));
  EXPECT_NE(permutation(100, 1, 0), permutation(100, 1, std::uint64_t{1} << 32));
  EXPECT_NE(permutation(100, 1, 0), permutation(100, 1 + (std::uint64_t{1} << 32), 0));
}

TEST(Permutation, EveryOrderEquallyLikely) {
  std::map<std::vector<std::uint32_t>, int> seen;
  constexpr int kDraws = 24'000;
  for (int epoch = 0; epoch < kDraws; ++epoch) ++seen[permutation(4, 9, static_cast<std::uint64_t>(epoch))];
  ASSERT_EQ(seen.size(), 24u);
  double chi_square = 0;
  for (const auto& [order, count] : seen) chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 49.7);  // 23 degrees of freedom, p = 0.001
}

class PlanProperties : public testing::TestWithParam<unsigned> {};

TEST_P(PlanProperties, EveryRowOnceAndWithinCapacity) {
  std::mt19937 random(GetParam());
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  PlanOptions options{.seed = random(),
                      .shuffle = draw(0, 3) != 0,
                      .sample_packing = draw(0, 1) == 1,
                      .sequence_len = draw(1, 300),
                      .micro_batch_size = draw(1, 5),
                      .global_batch_size = draw(1, 20)};
  std::vector<std::uint32_t> lengths(static_cast<std::size_t>(draw(0, 700)));
  for (auto& length : lengths) length = static_cast<std::uint32_t>(draw(1, static_cast<int>(options.sequence_len)));

  const auto steps = plan_epoch(lengths, 3, options);
  auto rows = rows_of(steps);
  std::sort(rows.begin(), rows.end());
  std::vector<std::uint32_t> all(lengths.size());
  std::iota(all.begin(), all.end(), 0u);
  EXPECT_EQ(rows, all);

  for (std::size_t s = 0; s < steps.size(); ++s) {
    const auto& batches = steps[s].micro_batches;
    const auto full = (options.global_batch_size + options.micro_batch_size - 1) / options.micro_batch_size;
    if (s + 1 < steps.size()) {
      EXPECT_EQ(batches.size(), static_cast<std::size_t>(full));
    }
    EXPECT_LE(batches.size(), static_cast<std::size_t>(full));
    for (const MicroBatch& batch : batches) {
      ASSERT_FALSE(batch.rows.empty());
      std::int64_t tokens = 0;
      for (const auto row : batch.rows) tokens += lengths[row];
      EXPECT_LE(tokens, options.sequence_len * options.micro_batch_size);
      if (!options.sample_packing) {
        EXPECT_LE(batch.rows.size(), static_cast<std::size_t>(options.micro_batch_size));
      }
    }
  }
  EXPECT_TRUE(same(steps, plan_epoch(lengths, 3, options)));
  if (options.shuffle && lengths.size() > 20) {
    EXPECT_NE(rows_of(steps), rows_of(plan_epoch(lengths, 4, options)));
  }
}

INSTANTIATE_TEST_SUITE_P(Random, PlanProperties, testing::Range(0u, 200u));

TEST(Plan, UnshuffledKeepsTheOrderOfTheFile) {
  const std::vector<std::uint32_t> lengths(10, 5);
  const auto steps = plan_epoch(lengths, 0, {.shuffle = false, .micro_batch_size = 2, .global_batch_size = 4});
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].micro_batches[1].rows, (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(steps[2].micro_batches.size(), 1u);
  EXPECT_EQ(steps[2].micro_batches[0].rows, (std::vector<std::uint32_t>{8, 9}));
}

TEST(Plan, MicroBatchNeverCrossesAStep) {
  const std::vector<std::uint32_t> lengths(10, 5);
  const auto steps = plan_epoch(lengths, 0, {.shuffle = false, .micro_batch_size = 3, .global_batch_size = 4});
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].micro_batches[1].rows, std::vector<std::uint32_t>{3});
}

TEST(Plan, EmptyEpochHasNoSteps) {
  EXPECT_TRUE(plan_epoch({}, 0, {.sequence_len = 8}).empty());
}

TEST(Plan, RefusesNonsense) {
  const std::vector<std::uint32_t> lengths{9};
  EXPECT_THROW(plan_epoch(lengths, 0, {.sample_packing = true, .sequence_len = 8}), std::logic_error);
  EXPECT_THROW(plan_epoch(lengths, 0, {.micro_batch_size = 0}), std::logic_error);
  EXPECT_THROW(plan_epoch(lengths, 0, {.global_batch_size = 0}), std::logic_error);
}

TEST(Packing, EachSequenceWithinCapacity) {
  std::mt19937 random(1);
  std::vector<std::uint32_t> lengths(5000), order(lengths.size());
  for (auto& length : lengths) length = 1 + random() % 128;
  std::iota(order.begin(), order.end(), 0u);
  std::size_t rows = 0;
  for (const auto& sequence : pack(order, lengths, 128)) {
    std::int64_t tokens = 0;
    for (const auto row : sequence) tokens += lengths[row];
    EXPECT_LE(tokens, 128);
    rows += sequence.size();
  }
  EXPECT_EQ(rows, lengths.size());
}

TEST(Packing, FillsWell) {
  // Log-normal lengths, as text has them; rows up to a whole sequence.
  std::mt19937 random(5);
  std::lognormal_distribution<double> distribution(5.0, 0.8);
  std::vector<std::uint32_t> lengths(20'000), order(lengths.size());
  for (auto& length : lengths) length = static_cast<std::uint32_t>(std::clamp(distribution(random), 2.0, 2048.0));
  std::iota(order.begin(), order.end(), 0u);
  const auto sequences = pack(order, lengths, 2048);
  const double tokens = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  EXPECT_GT(tokens / (2048.0 * static_cast<double>(sequences.size())), 0.98);
}

TEST(Plan, AMillionRows) {
  std::mt19937 random(2);
  std::vector<std::uint32_t> lengths(1'000'000);
  for (auto& length : lengths) length = 1 + random() % 512;
  const auto begin = std::chrono::steady_clock::now();
  const auto steps = plan_epoch(
      lengths, 0, {.sample_packing = true, .sequence_len = 2048, .micro_batch_size = 4, .global_batch_size = 64});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  RecordProperty("milliseconds", static_cast<int>(seconds.count() * 1000));
  EXPECT_EQ(rows_of(steps).size(), lengths.size());
  EXPECT_LT(seconds.count(), 20.0);  // about 0.3 s; a bound that only a change of complexity passes
}

}  // namespace
}  // namespace cadre::data
