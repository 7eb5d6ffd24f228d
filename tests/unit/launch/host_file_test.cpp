#include "launch/host_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::launch {

bool operator==(const IslandSpec& a, const IslandSpec& b) {
  return a.host == b.host && a.ranks == b.ranks;
}

namespace {

using runtime::TestFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HostFileOfARun : public testing::Test {
 protected:
  // Another length each time: two that come within one tick of the file system's clock are seen as two.
  void edit(std::string text) {
    runtime::put(path_, text + std::string(static_cast<std::size_t>(++edits_), '\n'));
    chmod(path_.c_str(), 0600);
  }
  std::string problem() {
    try {
      file_.raised();
    } catch (const runtime::UserError& error) {
      return error.what();
    }
    return "";
  }

  TestFolder scratch_;
  std::filesystem::path path_ = scratch_ / "hosts";
  HostFile file_{scratch_.path(), {{.host = "a", .ranks = 4}, {.host = "b", .ranks = 2}}};
  int edits_ = 0;
};

TEST_F(HostFileOfARun, SaysWhoIsThere) {
  EXPECT_THAT(runtime::read_file(path_, 1000), HasSubstr("\na:4\nb:2\n"));
  EXPECT_THAT(file_.raised(), IsEmpty());
}

TEST_F(HostFileOfARun, WhatIsRaisedIsToldOnceAnEdit) {
  edit("  b:3   # one more\r\n\n# nothing\nc.d:1\na:4\n");
  EXPECT_THAT(file_.raised(), ElementsAre(IslandSpec{"b", 3}, IslandSpec{"c.d", 1}));
  EXPECT_THAT(file_.raised(), IsEmpty());
  file_.accept({.host = "b", .ranks = 3});
  edit("b:3\nc.d:1\na:4\n");
  EXPECT_THAT(file_.raised(), ElementsAre(IslandSpec{"c.d", 1})) << "what was not accepted is told again";
}

TEST_F(HostFileOfARun, HalfAFileChangesNothing) {
  for (const char* text : {"", "a", "a:", "b:1\n"}) {
    edit(text);
    problem();
  }
  edit("a:4\nb:2\n");
  EXPECT_THAT(file_.raised(), IsEmpty());
  std::filesystem::remove(path_);
  EXPECT_THAT(file_.raised(), IsEmpty());
}

TEST_F(HostFileOfARun, AWrongLineIsToldOnceAndChangesNothing) {
  for (const char* line : {"c", "c:", "c:0", "c:70000", "c:4x", "-o:1", "c d:1", "c:1;x"}) {
    edit(std::string("a:9\nb:2\n") + line + "\n");
    EXPECT_THAT(problem(), HasSubstr("hosts, line 3: expected")) << line;
    EXPECT_EQ(problem(), "") << line;
  }
  edit("a:4\na:5\n");
  EXPECT_THAT(problem(), HasSubstr("stands there twice"));
  edit("a:5\nb:2\n");
  EXPECT_THAT(file_.raised(), ElementsAre(IslandSpec{"a", 5}));
}

TEST_F(HostFileOfARun, WhatOthersMayWriteIsNotRead) {
  edit("a:5\nb:2\n");
  chmod(path_.c_str(), 0620);
  EXPECT_THAT(problem(), HasSubstr("(chmod go-w)"));
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/dev/zero", path_);
  EXPECT_THAT(problem(), HasSubstr("it is a symbolic link"));
  std::filesystem::remove(path_);
  edit(std::string(2 << 20, '#'));
  EXPECT_THAT(problem(), HasSubstr("it is longer than 1 MiB"));
}

TEST(HostFile, GoesWithTheRun) {
  const TestFolder scratch;
  { const HostFile file(scratch.path(), {{.host = "a", .ranks = 1}}); }
  EXPECT_FALSE(std::filesystem::exists(scratch / "hosts"));
}

}  // namespace
}  // namespace cadre::launch
