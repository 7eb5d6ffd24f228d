// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator. Every value is a pure function of (counter, key), so that any number can be had without those before it,
// on any rank, in any order. The one generator of the project: shuffling, splitting, dropout, initialisation.
#pragma once

#include <array>
#include <cstdint>

namespace cadre::random {

struct Philox4x32 {
  // Four independent uniform 32-bit words for this counter under this key.
  static constexpr std::array<std::uint32_t, 4> block(std::array<std::uint32_t, 4> counter,
                                                      std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
      if (round > 0) key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};  // golden ratio, sqrt(3) - 1
      const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
      const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
      counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
                 static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    }
    return counter;
  }
};

// What a stream of numbers is for: the last counter word, so that two uses under one seed never share a number.
// Values are part of what makes a run reproducible: never change or reuse one.
enum class PhiloxStream : std::uint32_t {
  kRowOrder = 1,
  kValidationSplit = 2,
  kDropout = 3,
  kInitialisation = 4,
  kSampling = 6,
  kSequenceOrder = 5,
};

// The numbers of one (seed, index, stream) one after another: counter word 0 counts blocks, words 1 and 2 are `index`,
// word 3 is the stream.
class PhiloxSequence {
 public:
  constexpr PhiloxSequence(std::uint64_t seed, std::uint64_t index, PhiloxStream stream)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        counter_{0, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                 static_cast<std::uint32_t>(stream)} {}

  constexpr std::uint32_t next() {
    if (used_ == 4) {
      words_ = Philox4x32::block(counter_, key_);
      ++counter_[0];  // 2^34 words: four times what shuffling 2^32 rows asks for
      used_ = 0;
    }
    return words_[used_++];
  }

  // Uniform in [0, bound), bound > 0, without bias: Lemire, "Fast random integer generation in an interval", 2019.
  constexpr std::uint32_t below(std::uint32_t bound) {
    std::uint64_t product = std::uint64_t{next()} * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t threshold = (0u - bound) % bound;
      while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{next()} * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> words_{};
  unsigned used_ = 4;
};

}  // namespace cadre::random
