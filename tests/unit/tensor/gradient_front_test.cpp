#include "trainer/run/gradient_front.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <vector>

namespace cadre::run {
namespace {

using Chunks = std::vector<std::uint64_t>;

// Chunks [0, 10), [10, 20), [20, 30), [30, 35).
constexpr runtime::ChunkSpace kSpace{.elements = 35, .chunk_elements = 10};

TEST(GradientFront, TellsOfAChunkOnceItAndAllHigherOnesAreFinal) {
  Chunks told;
  GradientFront front(kSpace, [&](std::uint64_t chunk) { told.push_back(chunk); });
  front.add(18, 32);
  EXPECT_EQ(told, Chunks());
  front.add(32, 35);
  EXPECT_EQ(told, (Chunks{3, 2}));
  front.add(0, 10);
  EXPECT_EQ(told, (Chunks{3, 2}));
  front.add(10, 18);
  EXPECT_EQ(told, (Chunks{3, 2, 1, 0}));
  front.finish();
  EXPECT_EQ(told.size(), 4u);
}

TEST(GradientFront, TellsOfAllAtTheEnd) {
  Chunks told;
  GradientFront front(kSpace, [&](std::uint64_t chunk) { told.push_back(chunk); });
  front.add(5, 30);
  front.finish();
  EXPECT_EQ(told, (Chunks{3, 2, 1, 0}));
}

TEST(GradientFront, AnyOrderOfPiecesTellsOfEachChunkOnceDescending) {
  std::mt19937 generator(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::uint64_t> cuts{0, 35};
    for (int i = 0; i < 8; ++i) cuts.push_back(generator() % 35);
    std::ranges::sort(cuts);
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) order.push_back(i);
    std::shuffle(order.begin(), order.end(), generator);
    Chunks told;
    GradientFront front(kSpace, [&](std::uint64_t chunk) { told.push_back(chunk); });
    for (const std::size_t i : order) front.add(cuts[i], cuts[i + 1]);
    EXPECT_EQ(told, (Chunks{3, 2, 1, 0}));
  }
}

TEST(GradientFront, AGradientThatComesTwiceIsAFailedCheck) {
  GradientFront front(kSpace, [](std::uint64_t) {});
  front.add(10, 20);
  EXPECT_THROW(front.add(10, 20), std::logic_error);
  EXPECT_THROW(front.add(15, 25), std::logic_error);
  EXPECT_THROW(front.add(5, 11), std::logic_error);
  front.add(20, 35);
  EXPECT_THROW(front.add(34, 35), std::logic_error);
}

}  // namespace
}  // namespace cadre::run
