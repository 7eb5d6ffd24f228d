#include "trainer/tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace cadre::tokenizer {

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = text.size() * 0x9E3779B97F4A7C15u;
  while (text.size() >= 8) {
    std::uint64_t part;
    std::memcpy(&part, text.data(), 8);
    hash = (hash ^ part) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
    text.remove_prefix(8);
  }
  std::uint64_t part = 0;
  if (!text.empty()) std::memcpy(&part, text.data(), text.size());
  hash = (hash ^ part) * 0xD6E8FEB86659FD93u;
  return hash ^ hash >> 32;
}

void TokenTable::reserve(std::size_t count, std::size_t bytes) {
  entries_.reserve(count);
  texts_.reserve(bytes);
  grow(std::bit_ceil(std::max<std::size_t>(count * 2, 16)));
}

void TokenTable::grow(std::size_t slots) {
  slots_.assign(slots, 0);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    std::size_t at = hash_of(text(entries_[i])) & (slots - 1);
    while (slots_[at] != 0) at = (at + 1) & (slots - 1);
    slots_[at] = i + 1;
  }
}

bool TokenTable::add(std::string_view added, TokenId id) {
  if (entries_.size() * 2 >= slots_.size()) grow(std::max<std::size_t>(slots_.size() * 2, 16));
  std::size_t at = hash_of(added) & (slots_.size() - 1);
  for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1))
    if (text(entries_[slots_[at] - 1]) == added) return false;
  entries_.push_back({texts_.size(), static_cast<std::uint32_t>(added.size()), id});
  texts_ += added;
  slots_[at] = static_cast<std::uint32_t>(entries_.size());
  return true;
}

TokenId TokenTable::find(std::string_view wanted) const {
  if (slots_.empty()) return -1;
  for (std::size_t at = hash_of(wanted) & (slots_.size() - 1); slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
    const Entry& entry = entries_[slots_[at] - 1];
    if (text(entry) == wanted) return entry.id;
  }
  return -1;
}

void MergeTable::reserve(std::size_t count) {
  slots_.assign(std::bit_ceil(std::max<std::size_t>(count * 2, 16)), Slot{});
  mask_ = slots_.size() - 1;
}

void MergeTable::set(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  std::size_t at = slot_of(key);
  while (slots_[at].key != key && slots_[at].key != kNoKey) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

}  // namespace cadre::tokenizer
