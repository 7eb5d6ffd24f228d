// What words became, kept a thread: a direct-mapped table of bounded size, so that a common word costs one lookup.
// Words are short, so each slot holds the word itself; longer words have a smaller table of larger slots.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace cadre::tokenizer {

// A token of a word and how many of the word's bytes it covers, in one number: id << 8 | bytes. Ids stay below 2^24.
using PackedToken = std::uint32_t;
inline constexpr std::uint32_t kIdLimit = 1u << 24;

// The bytes of a word in eights, the last filled up with zeros. Reads nothing beyond the word.
template <std::size_t kWords>
inline void load_word(std::string_view word, std::uint64_t (&out)[kWords]) {
  const char* const p = word.data();
  const std::size_t size = word.size();
  std::size_t i = 0;
  for (; (i + 1) * 8 <= size; ++i) std::memcpy(&out[i], p + i * 8, 8);
  const std::size_t left = size - i * 8;
  if (left > 0) {
    std::uint64_t tail = 0;
    if (size >= 8) {
      std::memcpy(&tail, p + size - 8, 8);
      tail >>= (8 - left) * 8;
    } else if (left >= 4) {
      std::uint32_t low, high;
      std::memcpy(&low, p, 4);
      std::memcpy(&high, p + left - 4, 4);
      tail = low | static_cast<std::uint64_t>(high) << (left - 4) * 8;
    } else {
      const auto byte = [&](std::size_t at) { return static_cast<std::uint64_t>(static_cast<unsigned char>(p[at])); };
      tail = byte(0) | byte(left / 2) << (left / 2) * 8 | byte(left - 1) << (left - 1) * 8;
    }
    out[i++] = tail;
  }
  for (; i < kWords; ++i) out[i] = 0;
}

template <std::size_t kWords, std::size_t kTokens, std::size_t kSlots>
class WordTable {
 public:
  static constexpr std::size_t kMaxBytes = kWords * 8, kMaxTokens = kTokens;

  struct alignas(64) Slot {  // as few cache lines as it can be
    std::uint32_t owner;     // 0: empty
    std::uint16_t bytes, count;
    std::uint64_t word[kWords];
    PackedToken tokens[kTokens];
  };

  // The slot of `word`, which `holds` it or may be overwritten with it by fill(). `owner` is not 0.
  Slot& at(std::uint32_t owner, std::string_view word, bool& holds) {
    if (slots_.empty()) slots_.resize(kSlots);
    load_word(word, loaded_);
    std::uint64_t hash = (owner + word.size() * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    for (const std::uint64_t part : loaded_) {
      hash = (hash ^ part) * 0xD6E8FEB86659FD93u;
      hash ^= hash >> 32;
    }
    Slot& slot = slots_[hash & (kSlots - 1)];
    holds = slot.owner == owner && slot.bytes == word.size() && std::memcmp(slot.word, loaded_, sizeof loaded_) == 0;
    return slot;
  }

  // After at() for the same word.
  void fill(Slot& slot, std::uint32_t owner, std::size_t bytes, const PackedToken* tokens, std::size_t count) {
    slot.owner = owner;
    slot.bytes = static_cast<std::uint16_t>(bytes);
    slot.count = static_cast<std::uint16_t>(count);
    std::memcpy(slot.word, loaded_, sizeof loaded_);
    std::memcpy(slot.tokens, tokens, count * sizeof(PackedToken));
  }

 private:
  static_assert((kSlots & (kSlots - 1)) == 0);
  std::vector<Slot> slots_;
  std::uint64_t loaded_[kWords];
};

// 4 MiB and 2 MiB.
using ShortWords = WordTable<3, 8, 1u << 16>;
using LongWords = WordTable<7, 16, 1u << 14>;

}  // namespace cadre::tokenizer
