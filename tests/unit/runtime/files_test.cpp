#include "runtime/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/error.h"
#include "runtime/json_lines.h"
#include "runtime/sha256.h"
#include "tests/unit/runtime/scratch_folder.h"
#include "tests/unit/runtime/small_disk.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

template <typename Error>
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::size_t entries_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(ReadFile, ReadsUpToItsBound) {
  const ScratchFolder scratch;
  for (const std::size_t size : {0u, 1u, 4096u, 100'000u}) {
    const std::string content(size, 'x');
    put(scratch / "file", content);
    EXPECT_EQ(read_file(scratch / "file", size), content);
    if (size > 0) {
      EXPECT_THAT(message_of<UserError>([&] { read_file(scratch / "file", size - 1); }),
                  AllOf(HasSubstr("file"), HasSubstr(std::to_string(size) + " bytes")));
    }
  }
  EXPECT_NE(read_file("/proc/self/status", 1 << 20), "");  // a file that tells no size
  EXPECT_THROW(read_file("/proc/self/status", 10), UserError);
}

TEST(ReadFile, RefusesWhatIsNoFileAndDoesNotWait) {
  const ScratchFolder scratch;
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message_of<UserError>([&] { read_file(scratch / "absent", 9); }), HasSubstr("No such file"));
  EXPECT_THAT(message_of<UserError>([&] { read_file(scratch.path(), 9); }), HasSubstr("found a folder"));
  EXPECT_THAT(message_of<UserError>([&] { read_file(scratch / "pipe", 9); }), HasSubstr("found a named pipe"));
  EXPECT_THAT(message_of<UserError>([&] { read_file("/dev/zero", 9); }), HasSubstr("found a device"));
  EXPECT_THROW(MappedFile(scratch / "pipe"), UserError);
  EXPECT_THROW(read_json_lines(scratch / "pipe"), UserError);
}

TEST(WriteFileAtomically, ReplacesAndLeavesNothingElse) {
  const ScratchFolder scratch;
  for (const std::string& content : {std::string("old"), std::string(3'000'000, 'n'), std::string()}) {
    write_file_atomically(scratch / "file", content);
    EXPECT_EQ(get(scratch / "file"), content);
    EXPECT_EQ(entries_in(scratch.path()), 1u);
  }
}

TEST(WriteFileAtomically, ReadersWithTheOldFileOpenKeepIt) {
  const ScratchFolder scratch;
  write_file_atomically(scratch / "file", "old");
  const MappedFile map(scratch / "file");
  write_file_atomically(scratch / "file", "new");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()), "old");
}

TEST(WriteFileAtomically, NamesThePathThatTheDiskRefuses) {
  const ScratchFolder scratch;
  EXPECT_THAT(message_of<RunError>([&] { write_file_atomically(scratch / "no/file", "x"); }), HasSubstr("no/file"));
  fs::create_directory(scratch / "folder");
  EXPECT_THAT(message_of<RunError>([&] { write_file_atomically(scratch / "folder", "x"); }), HasSubstr("folder"));
  EXPECT_EQ(entries_in(scratch.path()), 1u);
}

TEST(WriteFileAtomically, AFullDiskKeepsTheOldFile) {
  SmallDisk disk("size=16k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  write_file_atomically(disk.path() / "file", "old");
  EXPECT_THAT(message_of<RunError>([&] { write_file_atomically(disk.path() / "file", std::string(50'000, 'x')); }),
              AllOf(HasSubstr("file"), HasSubstr("No space left on device")));
  EXPECT_EQ(get(disk.path() / "file"), "old");
  EXPECT_EQ(entries_in(disk.path()), 1u);
  if (!disk.make_read_only()) GTEST_SKIP() << "the tmpfs cannot be made read-only";
  EXPECT_THAT(message_of<RunError>([&] { write_file_atomically(disk.path() / "file", "new"); }),
              HasSubstr("Read-only file system"));
}

TEST(MappedFile, ShowsTheBytesAndMoves) {
  const ScratchFolder scratch;
  put(scratch / "file", "content");
  put(scratch / "empty", "");
  MappedFile first(scratch / "file");
  EXPECT_EQ(first.bytes().size(), 7u);
  MappedFile second(std::move(first));
  EXPECT_EQ(first.bytes().size(), 0u);  // NOLINT: what a moved-from map shows is part of its contract
  MappedFile empty(scratch / "empty");
  EXPECT_TRUE(empty.bytes().empty());
  empty = std::move(second);
  EXPECT_EQ(static_cast<char>(empty.bytes()[6]), 't');
  EXPECT_EQ(empty.path(), scratch / "file");
  EXPECT_THROW(MappedFile(scratch / "absent"), UserError);
}

// FIPS 180-2, appendix B, and the empty message.
TEST(Sha256, GivesThePublishedDigests) {
  const struct {
    std::string text;
    const char* digest;
  } cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  const ScratchFolder scratch;
  for (const auto& one : cases) {
    EXPECT_EQ(sha256_hex(one.text), one.digest);
    put(scratch / "file", one.text);
    EXPECT_EQ(sha256_of_file(scratch / "file"), one.digest);
    Sha256 in_pieces;
    for (std::size_t at = 0; at < one.text.size(); at += 999) in_pieces.update(one.text.substr(at, 999));
    EXPECT_EQ(in_pieces.hex(), one.digest);
  }
  EXPECT_THROW(sha256_of_file(scratch / "absent"), UserError);
}

}  // namespace
}  // namespace cadre::runtime
