// Properties over random inputs; what breaks one is told by its seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "runtime/micro_batches.h"
#include "runtime/placement.h"
#include "runtime/record_proof.h"
#include "runtime/salvage.h"
#include "tests/unit/runtime/simulation/simulated_cluster.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

using simulation::Chance;

constexpr std::uint64_t kSeeds = 400;

// Hosts of any sizes, with any islands, rank numbers with gaps.
View random_view(Chance& chance) {
  View view;
  Rank rank = static_cast<Rank>(chance.below(3));
  std::uint32_t island = 0;
  for (std::uint64_t host = 0, hosts = 1 + chance.below(6); host < hosts; ++host) {
    for (std::uint64_t left = 1 + chance.below(5); left > 0; --left) {
      view.members.push_back(
          {.rank = rank, .incarnation = 1, .host = "host-" + std::to_string(host), .island = island});
      rank += 1 + static_cast<Rank>(chance.below(2));
      island += static_cast<std::uint32_t>(chance.below(2));
    }
    ++island;
  }
  return view;
}

std::size_t hosts_of(const View& view) {
  std::set<std::string> hosts;
  for (const Member& member : view.members) hosts.insert(member.host);
  return hosts.size();
}

TEST(Properties, CopiesOfAChunkAreAsFarApartAsTheyCanBe) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Chance chance(seed);
    const View view = random_view(chance);
    const std::size_t copies = 1 + chance.below(4), hosts = hosts_of(view);
    const Placement placement = place(view, 1 + chance.below(300), copies);
    for (const auto& holders : placement.holders) {
      ASSERT_EQ(holders.size(), std::min(copies, view.size()));
      ASSERT_EQ(std::set<std::uint32_t>(holders.begin(), holders.end()).size(), holders.size());
      std::set<std::string> on;
      for (const std::uint32_t holder : holders) on.insert(view.members.at(holder).host);
      ASSERT_EQ(on.size(), std::min(hosts, holders.size()));
      // Where one host has all, the first two are in different islands if there are two.
      if (hosts > 1 || holders.size() < 2) continue;
      std::set<std::uint32_t> islands;
      for (const Member& member : view.members) islands.insert(member.island);
      ASSERT_EQ(view.members[holders[0]].island == view.members[holders[1]].island, islands.size() == 1);
    }
  }
}

TEST(Properties, NobodyOwnsMoreThanItsShare) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Chance chance(seed);
    const View view = random_view(chance);
    const std::uint64_t chunks = 1 + chance.below(300);
    const Placement placement = place(view, chunks, 2);
    std::size_t owned = 0;
    for (std::uint32_t member = 0; member < view.size(); ++member) {
      const std::size_t mine = placement.chunks_of(member, 0).size();
      ASSERT_LE(mine, (chunks + view.size() - 1) / view.size());
      owned += mine;
    }
    ASSERT_EQ(owned, chunks);
  }
}

// When a member goes, what it owned must move; of the rest little does. A member that comes is the same, backwards.
TEST(Properties, LittleMovesWhenAMemberGoes) {
  std::uint64_t moved = 0, stayed = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Chance chance(seed);
    const View before = random_view(chance);
    if (before.size() < 2) continue;
    View after = before;
    const std::uint64_t gone = chance.below(before.size());
    after.members.erase(after.members.begin() + static_cast<std::ptrdiff_t>(gone));
    const std::uint64_t chunks = 64 + chance.below(400);
    const Placement old_one = place(before, chunks, 2), new_one = place(after, chunks, 2);
    std::uint64_t moved_here = 0, stayed_here = 0;
    for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
      const Rank from = before.members[old_one.owner_of(chunk)].rank, to = after.members[new_one.owner_of(chunk)].rank;
      if (old_one.owner_of(chunk) == gone) continue;
      ++(from == to ? stayed_here : moved_here);
    }
    ASSERT_LE(moved_here, chunks / 3);
    moved += moved_here;
    stayed += stayed_here;
  }
  EXPECT_LT(moved, stayed / 6) << moved << " of " << moved + stayed << " chunks moved without need";
}

bool is_in_tree(Range node, Range tree) {
  while (!(node == tree)) {
    if (tree.size() < 2) return false;
    const std::uint32_t middle = tree.begin + split_of(tree.size());
    tree = node.begin < middle ? Range{tree.begin, middle} : Range{middle, tree.end};
  }
  return true;
}

TEST(Properties, ARangeIsFewNodesOfTheTree) {
  for (std::uint64_t seed = 1; seed <= 50 * kSeeds; ++seed) {
    Chance chance(seed);
    const auto count = static_cast<std::uint32_t>(1 + chance.below(chance.one_in(2) ? 40 : 1'000'000));
    std::uint32_t begin = static_cast<std::uint32_t>(chance.below(count)), end = begin;
    end += static_cast<std::uint32_t>(1 + chance.below(count - begin));
    const std::vector<Range> nodes = whole_subtrees({begin, end}, count);
    std::uint32_t next = begin;
    for (const Range node : nodes) {
      ASSERT_EQ(node.begin, next) << "seed " << seed;
      ASSERT_TRUE(is_in_tree(node, {0, count})) << "seed " << seed;
      next = node.end;
    }
    ASSERT_EQ(next, end) << "seed " << seed;
    ASSERT_LE(nodes.size(), 2U * static_cast<std::size_t>(std::bit_width(count))) << "seed " << seed;
  }
}

// The sum does not depend on who contributes which nodes, for an addition that is neither associative nor commutative.
TEST(Properties, TheTreeGivesOneSumForAnyShares) {
  for (std::uint64_t seed = 1; seed <= 5 * kSeeds; ++seed) {
    Chance chance(seed);
    const auto count = static_cast<std::uint32_t>(1 + chance.below(60));
    std::vector<std::uint64_t> leaves(count);
    for (std::uint64_t& leaf : leaves) leaf = chance.below(~std::uint64_t{0});
    const simulation::Known of_leaves = [&](Range range) { return range.size() == 1 ? &leaves[range.begin] : nullptr; };
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> nodes;
    for (std::uint32_t begin = 0; begin < count;) {
      const auto end = begin + 1 + static_cast<std::uint32_t>(chance.below(count - begin));
      for (const Range node : whole_subtrees({begin, end}, count)) {
        nodes[{node.begin, node.end}] = simulation::tree_sum(node, of_leaves);
      }
      begin = end;
    }
    const auto of_nodes = [&](Range range) -> const std::uint64_t* {
      const auto found = nodes.find({range.begin, range.end});
      return found == nodes.end() ? nullptr : &found->second;
    };
    ASSERT_EQ(simulation::tree_sum({0, count}, of_nodes), simulation::tree_sum({0, count}, of_leaves))
        << "seed " << seed;
  }
}

TEST(Properties, SharesTileAndAreAsEqualAsTheirWeights) {
  for (std::uint64_t seed = 1; seed <= 5 * kSeeds; ++seed) {
    Chance chance(seed);
    std::vector<double> weights(1 + chance.below(20));
    for (double& weight : weights) weight = static_cast<double>(chance.below(5));
    weights[chance.below(weights.size())] += 1;
    const auto count = static_cast<std::uint32_t>(chance.below(500));
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    const std::vector<Range> shares = share_out(count, weights);
    std::uint32_t next = 0;
    for (std::size_t rank = 0; rank < weights.size(); ++rank) {
      ASSERT_EQ(shares[rank].begin, next) << "seed " << seed;
      next = shares[rank].end;
      ASSERT_NEAR(shares[rank].size(), count * weights[rank] / total, 1.001) << "seed " << seed;
    }
    ASSERT_EQ(next, count) << "seed " << seed;
  }
}

// Whatever ranks report: every micro-batch is held or computed by one of them, and nothing is held that was not
// reported whole.
TEST(Properties, SalvageGivesEveryMicroBatchToOne) {
  for (std::uint64_t seed = 1; seed <= 10 * kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Chance chance(seed);
    const View view = random_view(chance);
    const auto count = static_cast<std::uint32_t>(1 + chance.below(30));
    std::vector<Report> reports;
    for (std::size_t member = 0; member < view.size(); ++member) {
      Report report{.stamp = {}, .committed = 5, .step = 4 + chance.below(2), .held = {}};
      for (std::uint64_t nodes = chance.below(4); nodes > 0; --nodes) {
        const auto begin = static_cast<std::uint32_t>(chance.below(count + 1));
        Range held{begin, begin + static_cast<std::uint32_t>(chance.below(count + 2))};
        if (!chance.one_in(4) && held.end <= count && !held.empty()) held = whole_subtrees(held, count).front();
        report.held.push_back(held);
        for (std::uint32_t m = held.begin; m < held.end; ++m) {
          if (!chance.one_in(12)) report.results.push_back({.index = m});
        }
      }
      reports.push_back(std::move(report));
    }
    std::vector<Report> given = reports;
    const Salvage salvaged = salvage(5, count, view, given);
    std::vector<int> taken(count, 0);
    std::uint32_t least = count, most = 0;
    for (std::size_t member = 0; member < view.size(); ++member) {
      for (const Range node : salvaged.shares.at(member).held) {
        const auto& held = reports[member].held;
        ASSERT_EQ(reports[member].step, 5U);
        ASSERT_TRUE(std::find(held.begin(), held.end(), node) != held.end());
        ASSERT_TRUE(is_in_tree(node, {0, count}));
        for (std::uint32_t m = node.begin; m < node.end; ++m) ++taken.at(m);
      }
      std::uint32_t computes = 0;
      for (const Range range : salvaged.shares[member].compute) {
        computes += range.size();
        for (std::uint32_t m = range.begin; m < range.end; ++m) ++taken.at(m);
      }
      least = std::min(least, computes);
      most = std::max(most, computes);
    }
    ASSERT_EQ(taken, std::vector<int>(count, 1));
    ASSERT_LE(most - least, 1U);
    std::uint32_t held = 0;
    for (const Share& share : salvaged.shares) {
      for (const Range node : share.held) held += node.size();
    }
    ASSERT_EQ(salvaged.kept.size(), held);
  }
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::ifstream in(path, std::ios::binary);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// A proof of an eventful run's records holds, and does not hold of records in which a line is left out, repeated or
// moved, or any byte is another.
TEST(Properties, NoOtherRecordsProveTheSame) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    simulation::SimulatedCluster cluster(simulation::random_scenario(seed), {});
    ASSERT_EQ(cluster.run().problem, "");
    const TestFolder folder;
    cluster.disk().write_into(folder.path());
    const std::uint64_t steps = cluster.disk().ledger.size();
    const auto is_proven = [&] {
      const std::vector<Claim> claims = prove_records(folder.path(), {.final_step = steps});
      return std::all_of(claims.begin(), claims.end(), [](const Claim& claim) { return claim.problem.empty(); });
    };
    ASSERT_TRUE(is_proven());
    Chance chance(seed);
    const std::filesystem::path ledger = folder / "ledger.jsonl";
    const std::string whole = get(ledger);
    for (int round = 0; round < 12; ++round) {
      std::vector<std::string> lines = lines_of(ledger);
      const std::size_t at = chance.below(lines.size()), other = chance.below(lines.size());
      const int change = round % 4;
      if (change == 0) lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
      if (change == 1) lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), lines[other]);
      if (change == 2 && at != other) std::swap(lines[at], lines[other]);
      std::string changed;
      for (const std::string& line : lines) changed += line + "\n";
      if (change == 3) {
        char& byte = changed[chance.below(changed.size())];
        byte = static_cast<char>(byte ^ (1 << chance.below(7)));
      }
      if (changed == whole) continue;
      put(ledger, changed);
      EXPECT_FALSE(is_proven()) << "change " << change << " at line " << at + 1 << ", " << other + 1;
      put(ledger, whole);
    }
  }
}

}  // namespace
}  // namespace cadre::runtime
