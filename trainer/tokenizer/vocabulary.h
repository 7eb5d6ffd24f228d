// Tokens by text and by id, and merges by pair: flat hash tables that are filled once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/tokenizer.h"

namespace cadre::tokenizer {

// Hash of a short text.
std::uint64_t hash_of(std::string_view text);

// Texts and their ids.
class TokenTable {
 public:
  // Makes room for `count` tokens of together `bytes`.
  void reserve(std::size_t count, std::size_t bytes);
  // false where `text` is there already.
  bool add(std::string_view text, TokenId id);
  // -1 where there is none.
  TokenId find(std::string_view text) const;

  std::size_t size() const { return entries_.size(); }
  struct Entry {
    std::size_t begin;
    std::uint32_t length;
    TokenId id;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  std::string_view text(const Entry& entry) const { return std::string_view(texts_).substr(entry.begin, entry.length); }

 private:
  void grow(std::size_t slots);

  std::string texts_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // index in entries_, plus 1
};

struct Merge {
  std::uint32_t rank;
  TokenId id;
};

class MergeTable {
 public:
  void reserve(std::size_t count);
  // A pair that is there already gets the later rank.
  void set(TokenId left, TokenId right, Merge merge);
  // nullptr where the two do not merge.
  const Merge* find(TokenId left, TokenId right) const {
    if (slots_.empty()) return nullptr;
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = slot_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return &slots_[at].merge;
      if (slots_[at].key == kNoKey) return nullptr;
    }
  }

 private:
  static constexpr std::uint64_t kNoKey = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kNoKey;
    Merge merge{};
  };
  static std::uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint64_t key) const {
    const std::uint64_t mixed = key * 0x9E3779B97F4A7C15u;
    return (mixed ^ mixed >> 32) & mask_;
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

}  // namespace cadre::tokenizer
