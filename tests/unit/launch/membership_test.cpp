// What the launcher does with requests, and what a coordinator that takes another's place hears of them.
#include "launch/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json/parse.hpp>

#include "runtime/files.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::launch {
namespace {

using runtime::TestFolder;
using testing::HasSubstr;
using testing::IsEmpty;
using Verb = RunRequest::Verb;

// Ranks 0 and 1 on a, rank 2 on b.
class MembershipOfARun : public testing::Test {
 protected:
  MembershipOfARun()
      : membership_(io_, scratch_.path(), {{.host = "a", .ranks = 2}, {.host = "b", .ranks = 1}}, true,
                    {.control = [this](const boost::json::object& line) { controls_.push_back(line); },
                     .hosts_of_ranks =
                         [] {
                           return std::map<std::uint32_t, std::string>{{2, "node-b"}};
                         },
                     .start = [this](const IslandSpec& island,
                                     std::uint32_t first) { started_.emplace_back(island.host, first, island.ranks); },
                     .is_running = [this](std::uint32_t rank) { return !ended_.contains(rank); },
                     .why_nobody_may = [] { return ""; },
                     .why_not_joined =
                         [](const std::string& host) { return host == "far" || host == "10.0.0.9" ? "too far" : ""; },
                     .warn = [this](const std::string& problem) { warnings_.push_back(problem); }}) {}

  // What comes of it: a control line, a started island or an answer.
  void ask(const RunRequest& request) {
    id_ = std::string(31, '0') + static_cast<char>('a' + asked_++);
    const std::filesystem::path path = scratch_ / (".requests/" + id_ + ".request");
    runtime::put(path, print_request(request));
    chmod(path.c_str(), 0600);
    const std::size_t lines = controls_.size();
    while (controls_.size() == lines && !answer()) io_.run_one();
  }

  // Until it has had consequences.
  void edit(const std::string& text) {
    runtime::put(scratch_ / "hosts", text + std::string(static_cast<std::size_t>(++asked_), '\n'));
    const std::size_t before = started_.size() + warnings_.size();
    while (started_.size() + warnings_.size() == before) io_.run_one();
  }

  void say(const std::string& problem) {
    EXPECT_TRUE(membership_.take({{"drain", {{"id", id_}, {"problem", problem}}}}));
  }

  std::optional<RunAnswer> answer() const {
    const std::filesystem::path path = scratch_ / (".requests/" + id_ + ".answer");
    if (!std::filesystem::exists(path)) return std::nullopt;
    return parse_answer(runtime::read_file(path, 1000));
  }

  TestFolder scratch_;
  boost::asio::io_context io_;
  std::vector<boost::json::object> controls_;
  std::vector<std::tuple<std::string, std::uint32_t, std::uint32_t>> started_;
  std::vector<std::string> warnings_;
  RankNumbers ended_;
  int asked_ = 0;
  std::string id_;
  Membership membership_;
};

boost::json::object drain_of(const char* host, boost::json::array ranks) {
  return {{"control", "drain"}, {"host", host}, {"ranks", std::move(ranks)}};
}

TEST_F(MembershipOfARun, AHostIsDrainedWhenItsProcessesHaveEnded) {
  ask({Verb::kDrain, "node-b"});
  boost::json::object asked = drain_of("node-b", {2});
  asked["id"] = id_;
  EXPECT_THAT(controls_, testing::ElementsAre(asked));
  EXPECT_THAT(membership_.drains(), testing::ElementsAre(asked)) << "the next coordinator is asked again";
  EXPECT_FALSE(membership_.is_drained(2));
  say("");
  EXPECT_TRUE(membership_.is_drained(2));
  EXPECT_THAT(membership_.drains(), testing::ElementsAre(drain_of("node-b", {2}))) << "it is told";
  EXPECT_EQ(answer(), std::nullopt);
  ended_ = {2};
  membership_.rank_ended();
  EXPECT_EQ(answer(), (RunAnswer{"", {2}}));
  EXPECT_THAT(membership_.drains(), testing::ElementsAre(drain_of("node-b", {2})));
  ask({Verb::kDrain, "b"});
  EXPECT_THAT(answer()->problem, HasSubstr("is drained already"));
}

TEST_F(MembershipOfARun, AHostThatIsAddedToTheFileComes) {
  edit("a:2\nb:1\nlocalhost:2\n");
  EXPECT_THAT(started_, testing::ElementsAre(std::tuple("localhost", 3, 2)));
  const boost::json::object invited{{"control", "invited"}, {"host", "localhost"}, {"ranks", {3, 4}}, {"numbers", 5}};
  EXPECT_THAT(controls_, testing::ElementsAre(invited));
  edit("a:2\nlocalhost:three\n");
  EXPECT_THAT(warnings_, testing::ElementsAre(HasSubstr("hosts, line 2: expected 1 to ")));
  edit("a:2\nlocalhost:3\n");
  EXPECT_EQ(started_.back(), std::tuple("localhost", 5, 1));
  EXPECT_EQ(controls_.size(), 2U) << "nobody is drained through it";
}

TEST_F(MembershipOfARun, AHostThatCannotComeKeepsNoOtherAway) {
  edit("127.0.0.1:1\na b:1\n");
  edit("10.0.0.9:1\n127.0.0.1:1\n");
  while (started_.empty()) io_.run_one();
  EXPECT_THAT(started_, testing::ElementsAre(std::tuple("127.0.0.1", 3, 1)));
  EXPECT_THAT(warnings_, testing::ElementsAre(HasSubstr("expected HOST:RANKS"), HasSubstr("too far")));
}

TEST_F(MembershipOfARun, TheFileSaysHowManyAHostIsToHave) {
  ask({Verb::kJoin, "127.0.0.1", 2});
  edit("127.0.0.1:3\n");
  EXPECT_EQ(started_.back(), std::tuple("127.0.0.1", 5, 1)) << "it had two already";
  ask({Verb::kDrain, "127.0.0.1"});
  say("");
  ended_ = {3, 4, 5};
  membership_.rank_ended();
  edit("127.0.0.1:4\n");
  EXPECT_EQ(started_.back(), std::tuple("127.0.0.1", 3, 4)) << "it had none any more";
}

TEST_F(MembershipOfARun, ADrainThatIsRefusedIsForgotten) {
  ask({Verb::kDrain, "a"});
  say("it would leave too few");
  EXPECT_EQ(answer(), (RunAnswer{"it would leave too few", {}}));
  EXPECT_FALSE(membership_.is_drained(0));
  EXPECT_THAT(membership_.drains(), IsEmpty()) << "no later coordinator may take it for agreed";
}

TEST_F(MembershipOfARun, DrainedRanksComeBackWithTheirNumbers) {
  ask({Verb::kDrain, "a"});
  say("");
  ask({Verb::kJoin, "a"});
  EXPECT_THAT(answer()->problem, HasSubstr("is being drained; ask again when it is empty"));
  ended_ = {0, 1};
  membership_.rank_ended();
  ask({Verb::kJoin, "a", 3});
  EXPECT_EQ(answer(), (RunAnswer{"", {0, 1, 3}}));
  const boost::json::object invited{{"control", "invited"}, {"host", "a"}, {"ranks", {0, 1, 3}}, {"numbers", 4}};
  EXPECT_EQ(controls_.back(), invited);
  EXPECT_THAT(started_, testing::ElementsAre(std::tuple("a", 0, 2), std::tuple("a", 3, 1)));
  EXPECT_FALSE(membership_.is_drained(0));
  EXPECT_THAT(membership_.drains(), IsEmpty());
  EXPECT_EQ(membership_.numbers(), 4U);
}

TEST_F(MembershipOfARun, WhoCannotComeIsNotInvited) {
  ask({Verb::kJoin, "far", 1});
  EXPECT_EQ(answer()->problem, "too far");
  ask({Verb::kDrain, "c"});
  EXPECT_THAT(answer()->problem, HasSubstr("host c has no rank of the run; expected one of: a, b, node-b"));
  EXPECT_THAT(controls_, IsEmpty());
  EXPECT_THAT(started_, IsEmpty());
}

}  // namespace
}  // namespace cadre::launch
