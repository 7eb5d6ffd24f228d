// The gather between members that talk: everybody's values are right in the end, and few bytes pass between hosts.
#include "comm/all_gather.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/unit/comm/asleep.h"
#include "tests/unit/comm/counting_communicator.h"
#include "tests/unit/comm/transport_world.h"

namespace cadre::comm {
namespace {

// Ten chunks, the last one short.
constexpr runtime::ChunkSpace kSpace{.elements = 9 * 32 + 7, .chunk_elements = 32};
constexpr std::uint64_t kBytes = kSpace.elements * sizeof(float);

using Hosts = std::vector<std::uint32_t>;

class AllGatherTest : public testing::Test {
 protected:
  // Members of `hosts`, each with the right values in the chunks that it has, and nonsense elsewhere. Who is no
  // receiver keeps the nonsense.
  void expect_all_to_get(const Hosts& hosts, const runtime::Placement& holders,
                         const std::vector<bool>& receivers = {}) {
    const std::unique_ptr<World> world = world_factories().front().make(static_cast<int>(hosts.size()));
    const Communicators communicators = world->next_view();
    std::vector<float> values(kSpace.elements);
    std::iota(values.begin(), values.end(), 1.0f);
    const GatherPlan plan{.chunks = kSpace, .holders = &holders, .hosts = hosts, .receivers = receivers};
    bytes_between_hosts_ = 0;
    together(communicators, [&](Communicator& inner) {
      CountingCommunicator communicator(inner, hosts);
      const auto self = static_cast<std::uint32_t>(communicator.rank());
      std::vector<float> mine(kSpace.elements, std::numeric_limits<float>::quiet_NaN());
      for (std::uint64_t chunk = 0; chunk < kSpace.count(); ++chunk) {
        const auto& having = holders.holders[chunk];
        if (std::ranges::find(having, self) == having.end()) continue;
        const runtime::ChunkRange range = kSpace.range(chunk);
        std::copy(&values[range.begin], &values[range.begin] + range.size(), &mine[range.begin]);
      }
      const std::vector<float> before = mine;
      AllGather gather(communicator, plan, mine);
      gather.finish();
      bytes_between_hosts_ += communicator.bytes_between_hosts;
      if (receivers.empty() || receivers[self]) {
        EXPECT_EQ(mine, values) << "member " << self;
      } else {
        EXPECT_TRUE(std::equal(mine.begin(), mine.end(), before.begin(),
                               [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }))
            << "member " << self;
      }
    });
  }

  // [chunk]: `copies` members after each other, another first one for each chunk.
  static runtime::Placement in_turn(std::uint32_t members, std::uint32_t copies) {
    runtime::Placement placement;
    for (std::uint64_t chunk = 0; chunk < kSpace.count(); ++chunk) {
      auto& holders = placement.holders.emplace_back();
      for (std::uint32_t copy = 0; copy < std::min(copies, members); ++copy) {
        holders.push_back(static_cast<std::uint32_t>((chunk + copy) % members));
      }
    }
    return placement;
  }

  std::atomic<std::uint64_t> bytes_between_hosts_ = 0;
};

TEST_F(AllGatherTest, LeavesTheRightValuesEverywhere) {
  for (const Hosts& hosts : {Hosts{0}, Hosts{0, 0}, Hosts{0, 1}, Hosts{0, 0, 0}, Hosts{0, 1, 0}, Hosts{0, 0, 1, 1},
                             Hosts{0, 1, 2, 2, 1, 2, 2}, Hosts{0, 0, 0, 0, 0, 0, 1}}) {
    for (const std::uint32_t copies : {1u, 2u, 3u}) {
      SCOPED_TRACE(testing::Message() << hosts.size() << " members, " << copies << " copies");
      expect_all_to_get(hosts, in_turn(static_cast<std::uint32_t>(hosts.size()), copies));
    }
  }
}

TEST_F(AllGatherTest, AnAbortEndsTheWaitForOthers) {
  const std::unique_ptr<World> world = world_factories().front().make(2);
  const Communicators communicators = world->next_view();
  const runtime::Placement holders = in_turn(2, 1);
  std::vector<float> values(kSpace.elements);
  AllGather gather(*communicators[0], {.chunks = kSpace, .holders = &holders}, values);
  Asleep waits([&] { EXPECT_THROW(gather.finish(), Aborted); });
  waits.until_asleep();
  communicators[0]->abort("the view changes");
}

TEST_F(AllGatherTest, NothingPassesBetweenHostsThatHaveACopyEach) {
  runtime::Placement placement;
  for (std::uint64_t chunk = 0; chunk < kSpace.count(); ++chunk) {
    placement.holders.push_back({static_cast<std::uint32_t>(chunk % 3), static_cast<std::uint32_t>(3 + chunk % 3)});
  }
  expect_all_to_get({0, 0, 0, 1, 1, 1}, placement);
  EXPECT_EQ(bytes_between_hosts_, 0u);
}

TEST_F(AllGatherTest, AChunkComesToAHostOnce) {
  expect_all_to_get({0, 0, 0, 0, 1, 1, 1, 1}, in_turn(8, 1));
  EXPECT_EQ(bytes_between_hosts_, kBytes);
  expect_all_to_get({0, 0, 1, 1, 2, 2}, in_turn(6, 1));
  EXPECT_EQ(bytes_between_hosts_, 2 * kBytes);
}

TEST_F(AllGatherTest, OnlyReceiversGetThem) {
  runtime::Placement placement;
  for (std::uint64_t chunk = 0; chunk < kSpace.count(); ++chunk) {
    placement.holders.push_back({static_cast<std::uint32_t>(chunk % 2)});
  }
  // Two that come in on another host.
  expect_all_to_get({0, 0, 0, 1, 1}, placement, {false, false, false, true, true});
  EXPECT_EQ(bytes_between_hosts_, kBytes);
}

}  // namespace
}  // namespace cadre::comm
