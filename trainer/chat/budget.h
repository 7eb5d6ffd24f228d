// What one rendering may spend: hostile templates end in a Failure, in bounded time and memory.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace cadre::chat {

// A failure of the template; the renderer adds where.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Every operation charges the bytes and items it touches to the budget that is current on its thread; where there is
// none (while a template is parsed) only the size of one value is bounded.
class Budget {
 public:
  static constexpr std::uint64_t kMaxWork = 1'000'000'000;      // units of a few nanoseconds at most
  static constexpr std::uint64_t kMaxAllocated = 512ULL << 20;  // bytes of values made, over the whole rendering
  static constexpr std::uint64_t kMaxText = 64ULL << 20;        // bytes of one string
  static constexpr int kMaxDepth = 200;                         // of nested values

  Budget();
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  static void work(std::uint64_t units);
  static void allocate(std::uint64_t bytes);  // before the memory is taken

 private:
  Budget* outer_;
  std::uint64_t work_ = 0, allocated_ = 0;
};

}  // namespace cadre::chat
