#include "runtime/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/quote.h"
#include "runtime/sha256.h"
#include "tests/unit/runtime/small_disk.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

template <typename Error, typename Do>
std::string message_of(Do action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Files, ReadsWhatIsThereUpToItsLimit) {
  const TestFolder folder;
  const std::string content = std::string("a\0b\n", 4) + std::string(100000, 'x');
  put(folder / "file", content);
  EXPECT_EQ(read_file(folder / "file", content.size()), content);
  EXPECT_EQ(message_of<UserError>([&] { read_file(folder / "file", content.size() - 1); }),
            (folder / "file").string() + ": has 100004 bytes, at most 100003 are read");
  put(folder / "empty", "");
  EXPECT_EQ(read_file(folder / "empty", 0), "");
}

TEST(Files, ReadsFilesThatTellNoSize) {
  EXPECT_FALSE(read_file("/proc/self/status", 1 << 20).empty());
}

TEST(Files, RefusesWhatIsNoFile) {
  const TestFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const std::vector<std::pair<std::filesystem::path, std::string>> cases{
      {folder / "none", "cannot be read: No such file or directory"},
      {folder.path(), "expected a file, found a folder"},
      {folder / "pipe", "expected a file, found a named pipe"},
      {"/dev/zero", "expected a file, found a device"}};
  for (const auto& [path, why] : cases) {
    const std::string expected = path.string() + ": " + why;
    EXPECT_EQ(message_of<UserError>([&, path = path] { read_file(path, 100); }), expected);
    EXPECT_EQ(message_of<UserError>([&, path = path] { MappedFile{path}; }), expected);
    EXPECT_NE(message_of<UserError>([&, path = path] { sha256_of_file(path); }), "nothing was thrown");
  }
}

TEST(Files, FollowsLinksWhenReading) {
  const TestFolder folder;
  put(folder / "blob", "content");
  std::filesystem::create_symlink("blob", folder / "link");
  EXPECT_EQ(read_file(folder / "link", 100), "content");
  EXPECT_EQ(MappedFile(folder / "link").bytes().size(), 7u);
}

TEST(Files, MapsAndMoves) {
  const TestFolder folder;
  put(folder / "one", "one");
  put(folder / "empty", "");
  MappedFile first(folder / "one");
  MappedFile second(folder / "empty");
  EXPECT_TRUE(second.bytes().empty());
  second = std::move(first);
  EXPECT_TRUE(first.bytes().empty());
  ASSERT_EQ(second.bytes().size(), 3u);
  EXPECT_EQ(std::to_integer<char>(second.bytes()[0]), 'o');
  EXPECT_EQ(second.path(), folder / "one");
}

TEST(Files, ReplacesWholly) {
  const TestFolder folder;
  put(folder / "file", "old");
  write_file_atomically(folder / "file", "new");
  EXPECT_EQ(get(folder / "file"), "new");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"file"});
}

TEST(Files, KeepsTheOldOneUntilTheNewOneIsComplete) {
  const TestFolder folder;
  put(folder / "file", "old");
  {
    AtomicFile file(folder / "file");
    file.write("half of the n");
    EXPECT_EQ(get(folder / "file"), "old");
    EXPECT_EQ(names_in(folder.path()).size(), 2u);
  }
  EXPECT_EQ(get(folder / "file"), "old");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"file"});
}

TEST(Files, SaysWhereItCannotWrite) {
  const TestFolder folder;
  EXPECT_EQ(message_of<RunError>([&] { write_file_atomically(folder / "none/file", ""); }),
            (folder / "none/file").string() + ": cannot be written: No such file or directory");
  std::filesystem::create_directory(folder / "folder");
  EXPECT_EQ(message_of<RunError>([&] { write_file_atomically(folder / "folder", ""); }),
            (folder / "folder").string() + ": cannot be written: Is a directory");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"folder"});
}

TEST(Files, FullDiskLeavesTheOldFileAndNoOther) {
  SmallDisk disk("size=64k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  put(disk.path() / "file", "old");
  EXPECT_EQ(message_of<RunError>([&] { write_file_atomically(disk.path() / "file", std::string(1 << 20, 'x')); }),
            (disk.path() / "file").string() +
                ": cannot be written: No space left on device; free some or choose another disk");
  EXPECT_EQ(get(disk.path() / "file"), "old");
  EXPECT_EQ(names_in(disk.path()), std::vector<std::string>{"file"});
}

TEST(Files, ReadOnlyDiskIsNamed) {
  SmallDisk disk("size=64k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  ASSERT_TRUE(disk.make_read_only());
  EXPECT_EQ(message_of<RunError>([&] { write_file_atomically(disk.path() / "file", "x"); }),
            (disk.path() / "file").string() +
                ": cannot be written: Read-only file system; choose a folder on a disk that can be written to");
}

TEST(Sha256, KnownAnswers) {
  // FIPS 180-4's examples.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const TestFolder folder;
  put(folder / "file", std::string(1000000, 'a'));
  EXPECT_EQ(sha256_of_file(folder / "file"), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(Sha256().update("a").update("bc").hex(), sha256_hex("abc"));
}

TEST(Quote, IsPrintableAndShort) {
  EXPECT_EQ(in_quotes("a\nb\x1b[0m"), "\"a\\x0ab\\x1b[0m\"");
  EXPECT_EQ(in_quotes(std::string(200, 'x')), "\"" + std::string(80, 'x') + "…\"");
  EXPECT_EQ(in_quotes(std::string(79, 'x') + "é and more"), "\"" + std::string(79, 'x') + "…\"");
}

}  // namespace
}  // namespace cadre::runtime
