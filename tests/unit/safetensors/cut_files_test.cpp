#include "runtime/cut_files.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstdio>
#include <utility>

#include "runtime/files.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerTakesSignals = true;
#else
constexpr bool kSanitizerTakesSignals = false;
#endif

unsigned touch_all(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  volatile unsigned result = sum;
  return result;
}

void touch_a_cut_file_among_others(const TestFolder& folder) {
  end_with_a_word_on_cut_files();
  { const MappedFile earlier(folder / "whole"); }  // its place is taken by the next
  MappedFile opened(folder / "cut");
  const MappedFile other(folder / "whole");
  const MappedFile file(std::move(opened));
  touch_all(file.bytes());
  fs::resize_file(folder / "cut", 5000);
  touch_all(other.bytes());
  touch_all(file.bytes().first(5000));
  touch_all(file.bytes());
}

TEST(CutFilesDeathTest, NameTheFile) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TestFolder folder;
  put(folder / "cut", std::string(100000, 'x'));
  put(folder / "whole", std::string(100000, 'x'));
  EXPECT_EXIT(touch_a_cut_file_among_others(folder), testing::ExitedWithCode(1),
              "^cadre: [^\n]*/cut: was cut short, or its disk failed, while it was in use; [^\n]*\n$");
}

void touch_a_cut_file_that_is_not_ours(const fs::path& path) {
  end_with_a_word_on_cut_files();
  { const MappedFile earlier(path); }
  std::FILE* const file = std::fopen(path.c_str(), "r");
  void* const mapped = ::mmap(nullptr, 100000, PROT_READ, MAP_PRIVATE, ::fileno(file), 0);
  fs::resize_file(path, 0);
  touch_all({static_cast<const std::byte*>(mapped), 100000});
}

TEST(CutFilesDeathTest, LeaveOtherBusErrorsAlone) {
  if (kSanitizerTakesSignals) GTEST_SKIP() << "the sanitizer reports SIGBUS in its own way";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TestFolder folder;
  put(folder / "file", std::string(100000, 'x'));
  EXPECT_EXIT(touch_a_cut_file_that_is_not_ours(folder / "file"), testing::KilledBySignal(SIGBUS), "^$");
}

}  // namespace
}  // namespace cadre::runtime
