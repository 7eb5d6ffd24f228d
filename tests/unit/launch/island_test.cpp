#include "launch/island.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace cadre::launch {
namespace {

using testing::Contains;
using testing::IsSupersetOf;
using testing::Not;
using Pieces = std::vector<TaggedOutput::Piece>;

bool has_run(const std::vector<std::string>& words, const std::vector<std::string>& part) {
  return std::search(words.begin(), words.end(), part.begin(), part.end()) != words.end();
}

TEST(IslandCommandLine, OfThisMachineNeedsNoRemoteShell) {
  const auto words = island_command_line({.ranks = 3, .rank_command = {"/x/cadre", "rank"}, .scratch = "/tmp/s"});
  EXPECT_TRUE(has_run(words, {"mpirun", "-n", "3"}));
  EXPECT_TRUE(has_run(words, {"--mca", "plm", "isolated"}));
  EXPECT_TRUE(has_run(words, {"--mca", "oob_tcp_if_include", "lo"}));
  EXPECT_TRUE(has_run(words, {"--mca", "orte_tmpdir_base", "/tmp/s"}));
  EXPECT_THAT(words, Not(Contains("--host")));
  EXPECT_THAT(words, Not(Contains("--allow-run-as-root")));
}

TEST(IslandCommandLine, OfAnotherHostNamesItAndItsVariables) {
  const auto words = island_command_line(
      {.host = "b", .ranks = 4, .rank_command = {"/x/cadre", "rank"}, .variables = {"A", "B"}, .is_root = true});
  EXPECT_TRUE(has_run(words, {"--host", "b:4"}));
  EXPECT_TRUE(has_run(words, {"-x", "A", "-x", "B"}));
  EXPECT_THAT(words, Contains("--allow-run-as-root"));
  EXPECT_FALSE(has_run(words, {"--mca", "plm", "isolated"}));
}

TEST(IslandCommandLine, BindsNoLivesAndNoCores) {
  for (const char* host : {"", "b"}) {
    const auto words = island_command_line({.host = host, .rank_command = {"/x/cadre", "rank"}});
    EXPECT_THAT(words, IsSupersetOf({"--enable-recovery", "--oversubscribe", "--tag-output"}));
    EXPECT_TRUE(has_run(words, {"--bind-to", "none"}));
    // A shell watches the rank and says how it ended.
    ASSERT_GE(words.size(), 5u);
    const std::vector<std::string> last(words.end() - 5, words.end());
    EXPECT_EQ(last[0], "/bin/sh");
    EXPECT_NE(last[2].find(kRankEndedLine), std::string::npos);
    EXPECT_EQ(last[3], "/x/cadre");
  }
}

// Pieces of one source that follow each other, as one.
Pieces joined(const Pieces& pieces) {
  Pieces result;
  for (const auto& piece : pieces) {
    if (!result.empty() && result.back().rank == piece.rank && result.back().is_stdout == piece.is_stdout) {
      result.back().text += piece.text;
    } else {
      result.push_back(piece);
    }
  }
  return result;
}

Pieces split(std::string_view text, std::size_t cut) {
  TaggedOutput output;
  Pieces pieces = output.take(text.substr(0, cut));
  for (const auto& part : {output.take(text.substr(cut)), output.finish()}) {
    pieces.insert(pieces.end(), part.begin(), part.end());
  }
  return joined(pieces);
}

TEST(TaggedOutput, IsTakenApartWhereverItIsCut) {
  const std::uint32_t mpirun = TaggedOutput::kMpirun;
  struct Case {
    std::string text;
    Pieces pieces;
  };
  const Case cases[] = {
      {"[1,0]<stdout>:a\n[1,12]<stderr>:b\n", {{0, true, "a\n"}, {12, false, "b\n"}}},
      // A long line comes in parts, each with a tag.
      {"[1,0]<stderr>:ab[1,0]<stderr>:cd\n", {{0, false, "abcd\n"}}},
      // Another rank's words after half a line.
      {"[1,0]<stderr>:half [1,1]<stderr>:Killed\n", {{0, false, "half "}, {1, false, "Killed\n"}}},
      {"There are not enough slots\n[1,0]<stdout>:x\n",
       {{mpirun, false, "There are not enough slots\n"}, {0, true, "x\n"}}},
      // What only looks like one.
      {"[1,0]<stderr>:[a] [1,2] [1,0]<std[1]\n", {{0, false, "[a] [1,2] [1,0]<std[1]\n"}}},
      {"[1,0]<stderr>:[1,", {{0, false, "[1,"}}},
      {"[vm:16606] PMIX ERROR\n", {{mpirun, false, "[vm:16606] PMIX ERROR\n"}}},
      {"[1,99999999999]<stdout>:x\n", {{mpirun, false, "[1,99999999999]<stdout>:x\n"}}},
      {"", {}},
  };
  for (const Case& one : cases) {
    for (std::size_t cut = 0; cut <= one.text.size(); ++cut) {
      EXPECT_EQ(split(one.text, cut), one.pieces) << one.text << " cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace cadre::launch
