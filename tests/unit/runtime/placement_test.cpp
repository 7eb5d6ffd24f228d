#include "runtime/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace cadre::runtime {
namespace {

// `hosts` hosts of `each` ranks, `islands` islands on each host.
View view_of(std::size_t hosts, std::size_t each, std::size_t islands = 1) {
  View view;
  for (Rank rank = 0; rank < hosts * each; ++rank) {
    const std::size_t host = rank / each;
    view.members.push_back({.rank = rank,
                            .incarnation = 1,
                            .host = "host-" + std::to_string(host),
                            .island = static_cast<std::uint32_t>(host * islands + rank % each * islands / each)});
  }
  return view;
}

std::vector<std::size_t> loads_of(const Placement& placement, std::size_t copy, std::size_t members) {
  std::vector<std::size_t> loads(members, 0);
  for (const auto& holders : placement.holders) ++loads[holders[copy]];
  return loads;
}

struct Shape {
  std::size_t hosts, each, copies;
  std::uint64_t chunks;
};

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (const std::size_t hosts : {1, 2, 3, 4, 7}) {
    for (const std::size_t each : {1, 2, 3, 8}) {
      for (const std::size_t copies : {1, 2, 3}) {
        for (const std::uint64_t chunks : {1, 5, 64, 257}) all.push_back({hosts, each, copies, chunks});
      }
    }
  }
  return all;
}

TEST(Placement, CopiesAreOnDifferentMembersHostsAndThenIslands) {
  for (const auto& [hosts, each, copies, chunks] : shapes()) {
    SCOPED_TRACE(testing::Message() << hosts << " hosts of " << each << ", " << copies << " copies, " << chunks);
    const View view = view_of(hosts, each, std::min<std::size_t>(each, 2));
    const Placement placement = place(view, chunks, copies);
    ASSERT_EQ(placement.holders.size(), chunks);
    for (const auto& holders : placement.holders) {
      ASSERT_EQ(holders.size(), std::min(copies, view.size()));
      std::set<std::uint32_t> members(holders.begin(), holders.end());
      std::set<std::string> on;
      std::set<std::uint32_t> islands;
      for (const std::uint32_t holder : holders) {
        on.insert(view.members.at(holder).host);
        islands.insert(view.members[holder].island);
      }
      EXPECT_EQ(members.size(), holders.size());
      EXPECT_EQ(on.size(), std::min(hosts, holders.size()));
      EXPECT_EQ(islands.size(), std::min(hosts * std::min<std::size_t>(each, 2), holders.size()));
    }
  }
}

TEST(Placement, NoMemberHasMoreThanItsShareRoundedUp) {
  for (const auto& [hosts, each, copies, chunks] : shapes()) {
    SCOPED_TRACE(testing::Message() << hosts << " hosts of " << each << ", " << copies << " copies, " << chunks);
    const View view = view_of(hosts, each);
    const Placement placement = place(view, chunks, copies);
    const std::size_t limit = (chunks + view.size() - 1) / view.size();
    for (std::size_t copy = 0; copy < std::min(copies, view.size()); ++copy) {
      const std::vector<std::size_t> loads = loads_of(placement, copy, view.size());
      // What the first two leave may be out of even by one.
      EXPECT_LE(*std::max_element(loads.begin(), loads.end()), limit + (copy > 1)) << "copy " << copy;
    }
  }
}

// One host of seven, one of one: the single member backs up whatever the others own.
TEST(Placement, HostsComeBeforeBalance) {
  View view = view_of(1, 8);
  view.members[7].host = "another";
  const Placement placement = place(view, 64, 2);
  EXPECT_EQ(loads_of(placement, 0, 8), std::vector<std::size_t>(8, 8));
  const std::vector<std::size_t> backups = loads_of(placement, 1, 8);
  EXPECT_EQ(backups[7], 56U);
  EXPECT_LE(*std::max_element(backups.begin(), backups.end() - 1), 8U);
}

TEST(Placement, IsAFunctionOfRanksAndHostsOnly) {
  View view = view_of(3, 2);
  const Placement placement = place(view, 100, 2);
  view.stamp = {7, 8, 9};
  for (Member& member : view.members) {
    member.incarnation += 5;
    member.pid = 99;
    member.endpoints = {{"127.0.0.1", 1}};
  }
  EXPECT_EQ(place(view, 100, 2).holders, placement.holders);
}

TEST(Placement, FewChunksMoveWhenAMemberGoes) {
  std::size_t moved = 0, own = 0, all = 0, promoted = 0;
  for (const std::size_t members : {4, 8, 16}) {
    const View before = view_of(members, 1);
    const Placement placed = place(before, 512, 2);
    for (std::uint32_t gone = 0; gone < members; ++gone) {
      View after = before;
      after.members.erase(after.members.begin() + gone);
      const Placement replaced = place(after, 512, 2);
      for (std::uint64_t chunk = 0; chunk < 512; ++chunk) {
        const Rank owner = placed.holders[chunk][0], backup = placed.holders[chunk][1];
        const Rank new_owner = after.members[replaced.holders[chunk][0]].rank;
        own += owner == gone;
        promoted += owner == gone && new_owner == backup;
        moved += owner != gone && new_owner != owner;
        ++all;
      }
    }
  }
  RecordProperty("moved", static_cast<int>(moved));
  // Nobody need move beside the member's own; the even loads cost some.
  EXPECT_LT(moved, all / 8) << own << " were its own";
  EXPECT_GT(promoted, own / 3);
}

TEST(Placement, ChunksOfAMemberAscend) {
  const Placement placement = place(view_of(3, 1), 30, 2);
  std::set<std::uint64_t> all;
  for (std::uint32_t member = 0; member < 3; ++member) {
    const std::vector<std::uint64_t> chunks = placement.chunks_of(member, 0);
    EXPECT_TRUE(std::is_sorted(chunks.begin(), chunks.end()));
    for (const std::uint64_t chunk : chunks) EXPECT_EQ(placement.owner_of(chunk), member);
    all.insert(chunks.begin(), chunks.end());
  }
  EXPECT_EQ(all.size(), 30U);
  EXPECT_TRUE(placement.chunks_of(0, 2).empty());
}

// As in a view without them, and so nothing moves when they go.
TEST(Placement, ThoseThatLeaveHoldNothing) {
  for (const auto& [hosts, each, copies, chunks] : shapes()) {
    SCOPED_TRACE(testing::Message() << hosts << " hosts of " << each << ", " << copies << " copies, " << chunks);
    View view = view_of(hosts, each), after;
    std::vector<std::uint32_t> stay;
    for (std::uint32_t member = 0; member < view.size(); ++member) {
      view.members[member].is_leaving = member % 3 == 1;
      if (view.members[member].is_leaving) continue;
      after.members.push_back(view.members[member]);
      stay.push_back(member);
    }
    Placement expected = place(after, chunks, copies);
    for (auto& holders : expected.holders) {
      for (std::uint32_t& holder : holders) holder = stay[holder];
    }
    EXPECT_EQ(place(view, chunks, copies).holders, expected.holders);
    for (Member& member : view.members) member.is_leaving = true;
    EXPECT_EQ(place(view, chunks, copies).holders, place(view_of(hosts, each), chunks, copies).holders);
  }
}

}  // namespace
}  // namespace cadre::runtime
