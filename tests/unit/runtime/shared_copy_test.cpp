#include "runtime/shared_copy.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/error.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

class SharedCopyTest : public testing::Test {
 protected:
  fs::path place() const { return scratch_.path() / "copy"; }
  std::unique_ptr<SharedCopy> open() {
    return std::make_unique<SharedCopy>(
        place(),
        [this](const fs::path& folder) {
          ++made_;
          std::ofstream(folder / "a") << "some bytes";
        },
        [] {});
  }
  static std::string read(const fs::path& path) {
    std::string text;
    std::getline(std::ifstream(path), text);
    return text;
  }

  TestFolder scratch_;
  std::atomic<int> made_ = 0;
};

// Another that is about to make the copies, and does not come to the end of it until it may.
class SlowMaker {
 public:
  explicit SlowMaker(const fs::path& place)
      : thread_([this, place] {
          SharedCopy(
              place,
              [this](const fs::path&) {
                makes_ = true;
                while (!may_end_) std::this_thread::yield();
              },
              [] {});
        }) {
    while (!makes_) std::this_thread::yield();
  }
  ~SlowMaker() {
    may_end_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> makes_ = false, may_end_ = false;
  std::thread thread_;
};

TEST_F(SharedCopyTest, IsMadeOnceForAllThatReadItTogether) {
  const auto one = open(), other = open();
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(one->folder(), other->folder());
  EXPECT_EQ(read(other->folder() / "a"), "some bytes");
}

TEST_F(SharedCopyTest, TheLastOneRemovesIt) {
  auto one = open(), other = open();
  one.reset();
  EXPECT_EQ(read(other->folder() / "a"), "some bytes");
  other.reset();
  EXPECT_FALSE(fs::exists(place()));
  EXPECT_TRUE(fs::exists(open()->folder() / "a")) << "and it is made anew";
  EXPECT_EQ(made_, 2);
}

TEST_F(SharedCopyTest, IsNobodyElsesToSee) {
  const auto copy = open();
  struct stat found {};
  ASSERT_EQ(::stat(place().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700U);
}

TEST_F(SharedCopyTest, WhoeverWaitsSeesItWhole) {
  std::vector<std::thread> threads;
  std::atomic<int> whole = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        const SharedCopy copy(
            place(),
            [&](const fs::path& folder) {
              ++made_;
              std::ofstream(folder / "a") << "some";
              std::this_thread::yield();
              std::ofstream(folder / "a", std::ios::app) << " bytes";
            },
            [] {});
        whole += read(copy.folder() / "a") == "some bytes";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(whole, 160);
  EXPECT_LE(made_, 160);
  EXPECT_FALSE(fs::exists(place()));
}

TEST_F(SharedCopyTest, WhoFailsToMakeItLeavesItToTheNext) {
  const auto fail = [](const fs::path& folder) {
    std::ofstream(folder / "half") << "so";
    throw std::runtime_error("no more");
  };
  EXPECT_THROW(SharedCopy(place(), fail, [] {}), std::runtime_error);
  EXPECT_FALSE(fs::exists(place()));
  const auto copy = open();
  EXPECT_FALSE(fs::exists(copy->folder() / "half"));
  EXPECT_EQ(made_, 1);
}

// What a process that was killed has left is not taken for whole.
TEST_F(SharedCopyTest, OneThatDiesWhileItMakesItIsNotWaitedFor) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    SharedCopy(
        place(),
        [&](const fs::path& folder) {
          std::ofstream(folder / "half") << "so";
          static_cast<void>(!::write(ready[1], "x", 1));
          for (;;) ::pause();
        },
        [] {});
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  int waited = 0;
  const SharedCopy copy(
      place(),
      [this](const fs::path& folder) {
        ++made_;
        EXPECT_FALSE(fs::exists(folder / "half"));
        std::ofstream(folder / "a") << "some bytes";
      },
      [&] {
        if (++waited == 2) ::kill(child, SIGKILL);
      });
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(read(copy.folder() / "a"), "some bytes");
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(SharedCopyTest, WhoWaitsCanBeInterrupted) {
  {
    const SlowMaker other(place());
    EXPECT_THROW(SharedCopy(
                     place(), [](const fs::path&) {}, [] { throw std::logic_error("the view changes"); }),
                 std::logic_error);
  }
  EXPECT_FALSE(fs::exists(place()));
}

TEST_F(SharedCopyTest, AFolderThatOthersMayWriteToIsLeftAlone) {
  ASSERT_EQ(::mkdir(place().c_str(), 0700), 0);
  ASSERT_EQ(::chmod(place().c_str(), 0777), 0);
  EXPECT_EQ(read(open()->folder() / "a"), "some bytes") << "a copy of its own";
  EXPECT_TRUE(fs::is_empty(place()));
  fs::remove(place());
  const TestFolder elsewhere;
  fs::create_directory_symlink(elsewhere.path(), place());
  EXPECT_EQ(read(open()->folder() / "a"), "some bytes");
  EXPECT_TRUE(fs::is_empty(elsewhere.path()));
  fs::remove(place());
  EXPECT_EQ(made_, 2);
  EXPECT_TRUE(fs::is_empty(scratch_.path()));
}

// Stopped, and not dead: the kernel keeps its lock.
TEST_F(SharedCopyTest, OneThatDoesNotGoOnIsNotWaitedForLong) {
  {
    const SlowMaker other(place());
    const SharedCopy copy(
        place(), [](const fs::path& folder) { std::ofstream(folder / "a") << "its own"; }, [] {},
        std::chrono::milliseconds(50));
    EXPECT_EQ(read(copy.folder() / "a"), "its own");
    EXPECT_NE(copy.folder().parent_path(), place());
  }
  EXPECT_TRUE(fs::is_empty(scratch_.path()));
}

// As one that was killed while it removed them may leave them.
TEST_F(SharedCopyTest, WhatIsHalfRemovedIsMadeAnew) {
  ASSERT_EQ(::mkdir(place().c_str(), 0700), 0);
  fs::create_directory(place() / "files");
  std::ofstream(place() / "files" / "b") << "of before";
  const auto copy = open();
  EXPECT_EQ(read(copy->folder() / "a"), "some bytes");
  EXPECT_FALSE(fs::exists(copy->folder() / "b"));
}

}  // namespace
}  // namespace cadre::runtime
