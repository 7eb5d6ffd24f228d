#include "launch/run_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <future>

#include "launch/hosts.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::launch {
namespace {

namespace fs = std::filesystem;
using runtime::TestFolder;
using testing::HasSubstr;
using Verb = RunRequest::Verb;

constexpr char kId[] = "0123456789abcdef0123456789abcdef";

void put(const fs::path& path, const std::string& text, mode_t mode = 0600) {
  runtime::put(path, text);
  ASSERT_EQ(chmod(path.c_str(), mode), 0);
}

TEST(RunRequests, AreReadAsTheyWereWritten) {
  for (const RunRequest& request : {RunRequest{Verb::kDrain, "node-b", 0}, RunRequest{Verb::kJoin, "", 3},
                                    RunRequest{Verb::kJoin, "10.0.0.7", kMostRanks}}) {
    EXPECT_EQ(parse_request(print_request(request)), request);
  }
  for (const RunAnswer& answer : {RunAnswer{"no \"such\" host\n", {}}, RunAnswer{"", {0, 7, 65535}}}) {
    EXPECT_EQ(parse_answer(print_answer(answer)), answer);
  }
}

TEST(RunRequests, WhatIsNoneIsRefused) {
  for (const char* text :
       {"", "[", "7", "[]", "{}", R"({"verb":"stop","host":"a"})", R"({"verb":7,"host":"a"})", R"({"verb":"drain"})",
        R"({"verb":"drain","host":""})", R"({"verb":"drain","host":"-oProxyCommand=x"})",
        R"({"verb":"join","host":"a b"})", R"({"verb":"join","host":"$x"})",
        R"({"verb":"join","host":"a","ranks":65537})", R"({"verb":"join","host":"a","ranks":-1})",
        R"({"verb":"join","host":"a","ranks":1.5})", R"({"verb":"join","host":"a","ranks":"2"})"}) {
    EXPECT_THROW(parse_request(text), runtime::UserError) << text;
  }
  EXPECT_THROW(parse_request(std::string(4000, '{')), runtime::UserError);
  for (const char* text : {"", "[]", R"({"ranks":[-1]})", R"({"ranks":[65536]})", R"({"ranks":["x"]})"}) {
    EXPECT_THROW(parse_answer(text), runtime::UserError) << text;
  }
}

TEST(RunRequests, AreAskedAndAnswered) {
  const TestFolder scratch;
  RequestBox box(scratch.path());
  EXPECT_TRUE(box.take().empty());
  const RunRequest request{Verb::kDrain, "b", 0};
  auto answered =
      std::async(std::launch::async, [&] { return ask_launcher(scratch.path(), request, [] { return true; }); });
  std::vector<RequestBox::Asked> asked;
  while (asked.empty()) asked = box.take();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].request, request);
  box.answer(asked[0].id, {.ranks = {2, 3}});
  EXPECT_EQ(answered.get(), (RunAnswer{"", {2, 3}}));
  EXPECT_TRUE(fs::is_empty(scratch / ".requests"));
}

TEST(RunRequests, ALauncherThatEndsAnswersNobody) {
  const TestFolder scratch;
  RequestBox box(scratch.path());
  EXPECT_EQ(ask_launcher(scratch.path(), {Verb::kDrain, "b", 0}, [] { return false; }), std::nullopt);
}

TEST(RunRequests, TheFolderIsTheLaunchersAndGoesWithIt) {
  const TestFolder scratch;
  const fs::path folder = scratch / ".requests";
  fs::create_directory(scratch / "elsewhere");
  put(scratch / "elsewhere/kept", "");
  fs::create_directory_symlink(scratch / "elsewhere", folder);  // as another might leave it
  {
    RequestBox box(scratch.path());
    EXPECT_FALSE(fs::is_symlink(folder));
    EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
    put(folder / "left", "");
  }
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_TRUE(fs::exists(scratch / "elsewhere/kept"));
}

TEST(RunRequests, NobodyIsAskedThroughAFolderThatOthersMayUse) {
  const TestFolder scratch;
  const auto ask = [&] { ask_launcher(scratch.path(), {Verb::kDrain, "b", 0}, [] { return false; }); };
  EXPECT_THROW(ask(), runtime::UserError) << "no folder";
  const fs::path folder = scratch / ".requests";
  fs::create_directory(folder);
  ASSERT_EQ(chmod(folder.c_str(), 0755), 0);
  EXPECT_THROW(ask(), runtime::UserError);
  EXPECT_TRUE(fs::is_empty(folder));
  fs::remove(folder);
  fs::create_directory_symlink(scratch.path(), folder);
  EXPECT_THROW(ask(), runtime::UserError);
}

TEST(RunRequests, WhatIsNoPlainFileOfOursIsLeftAlone) {
  const TestFolder scratch;
  RequestBox box(scratch.path());
  const fs::path folder = scratch / ".requests", path = folder / (std::string(kId) + ".request");
  const std::string good = print_request({Verb::kDrain, "b", 0});
  const auto expect_left = [&](const char* why) {
    EXPECT_TRUE(box.take().empty()) << why;
    EXPECT_TRUE(fs::exists(fs::symlink_status(path))) << why;
    fs::remove_all(path);
  };
  put(path, good, 0644);
  expect_left("others may read it");
  put(path, good + std::string(5000, ' '));
  expect_left("too long");
  put(scratch / "outside", good);
  fs::create_symlink(scratch / "outside", path);
  expect_left("a symbolic link");
  fs::create_hard_link(scratch / "outside", path);
  expect_left("it has another name");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  expect_left("a pipe");
  fs::create_directory(path);
  expect_left("a folder");
  put(folder / "short.request", good);
  put(folder / (std::string(kId) + ".request.new"), good);
  EXPECT_TRUE(box.take().empty());
  put(path, "nonsense");
  EXPECT_TRUE(box.take().empty());
  EXPECT_FALSE(fs::exists(path));
  EXPECT_THAT(parse_answer(runtime::read_file(folder / (std::string(kId) + ".answer"), 1000)).problem,
              HasSubstr("expected a JSON object"));
  put(path, good);
  EXPECT_EQ(box.take().size(), 1U);
}

}  // namespace
}  // namespace cadre::launch
