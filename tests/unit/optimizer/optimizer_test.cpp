#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "trainer/optimizer/schedule.h"
#include "trainer/optimizer/update.h"

namespace cadre::optimizer {
namespace {

// Values of transformers' schedulers, worked out from their formulas.
TEST(Schedule, WarmsUpAndDecays) {
  const ScheduleOptions cosine{Schedule::kCosine, 2.0, 4, 12};
  EXPECT_DOUBLE_EQ(learning_rate_at(0, cosine), 0.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(1, cosine), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate_at(4, cosine), 2.0);
  EXPECT_NEAR(learning_rate_at(8, cosine), 1.0, 1e-12);
  EXPECT_NEAR(learning_rate_at(12, cosine), 0.0, 1e-12);
  const ScheduleOptions linear{Schedule::kLinear, 2.0, 2, 10};
  EXPECT_DOUBLE_EQ(learning_rate_at(6, linear), 1.0);
  const ScheduleOptions constant{Schedule::kConstant, 2.0, 2, 10};
  EXPECT_DOUBLE_EQ(learning_rate_at(1, constant), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(9, constant), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(0, {Schedule::kCosine, 2.0, 0, 5}), 2.0);
}

TEST(AdamW, FirstStepMovesByTheLearningRateAfterDecay) {
  std::vector<float> p{1.0f, -2.0f, 0.5f}, m(3), v(3);
  const std::vector<float> g{0.3f, -4.0f, 0.0f};
  update(AdamW{}, Rate{.learning_rate = 0.1, .weight_decay = 0.5, .step = 1}, g, p, m, v);
  EXPECT_NEAR(p[0], 1.0f * 0.95f - 0.1f, 1e-6);
  EXPECT_NEAR(p[1], -2.0f * 0.95f + 0.1f, 1e-6);
  EXPECT_NEAR(p[2], 0.5f * 0.95f, 1e-6);
  EXPECT_NEAR(m[0], 0.03f, 1e-7);
  EXPECT_NEAR(v[1], 0.016f, 1e-7);
}

TEST(Sgd, DecaysThroughTheGradientAndKeepsMomentum) {
  std::vector<float> p{1.0f}, buffer(1);
  const std::vector<float> g{2.0f};
  const Rate rate{.learning_rate = 0.1, .weight_decay = 0.5};
  update(Sgd{0.9}, rate, g, p, buffer);
  EXPECT_NEAR(p[0], 0.75f, 1e-6);
  update(Sgd{0.9}, rate, g, p, buffer);
  EXPECT_NEAR(p[0], 0.75f - 0.1f * (0.9f * 2.5f + 2.375f), 1e-6);
}

TEST(Clipping, ScalesOnlyWhatIsTooLong) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_NEAR(clip_scale(4.0, 1.0), 0.25, 1e-6);
  EXPECT_EQ(clip_scale(4.0, 0.0), 1.0);
  const std::vector<float> values(1001, 2.0f);
  EXPECT_DOUBLE_EQ(sum_of_squares(values), 4004.0);
}

}  // namespace
}  // namespace cadre::optimizer
