#include "runtime/placement.h"

#include <algorithm>
#include <optional>
#include <span>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

// The finaliser of splitmix64 (Steele, Lea and Flood 2014).
constexpr std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

class Placing {
 public:
  Placing(const View& view, std::uint64_t chunks, std::size_t copies)
      : members_(staying(view)), limit_((chunks + members_.size() - 1) / members_.size()), holders_(chunks) {
    copies = std::min(copies, members_.size());
    hosts_ = host_numbers(view);
    for (const Member& member : view.members) {
      keys_.push_back(mixed(member.rank));
      islands_.push_back(member.island);
    }
    for (std::vector<std::uint32_t>& holders : holders_) holders.reserve(copies);
    // One weight for all copies: when an owner goes, its first backup is the next in line.
    for (std::size_t copy = 0; copy < copies; ++copy) place_copy();
  }

  std::vector<std::vector<std::uint32_t>> take() { return std::move(holders_); }

 private:
  static std::vector<std::uint32_t> staying(const View& view) {
    std::vector<std::uint32_t> all, stay;
    for (std::uint32_t member = 0; member < view.size(); ++member) {
      all.push_back(member);
      if (!view.members[member].is_leaving) stay.push_back(member);
    }
    return stay.empty() ? all : stay;
  }

  void place_copy() {
    loads_.assign(keys_.size(), 0);
    in_vain_ = 0;
    const std::size_t copy = copy_++;
    for (std::uint64_t chunk = 0; chunk < holders_.size(); ++chunk) place_one(chunk, copy);
  }

  std::uint64_t weight(std::uint64_t chunk_key, std::uint32_t member) const { return mixed(chunk_key ^ keys_[member]); }

  // How near `member` is to those that hold the chunk already: 0 on a host of its own, 1 in an island of its own,
  // 2 neither, 3 one of them.
  int nearness(std::span<const std::uint32_t> holders, std::uint32_t member) const {
    int nearest = 0;
    for (const std::uint32_t holder : holders) {
      if (holder == member) return 3;
      if (hosts_[holder] == hosts_[member]) nearest = std::max(nearest, islands_[holder] == islands_[member] ? 2 : 1);
    }
    return nearest;
  }

  void place_one(std::uint64_t chunk, std::size_t copy) {
    const std::uint64_t key = mixed(~chunk);
    // The farthest there is; among those the heaviest with room, or else the one with the least.
    constexpr std::uint32_t kNone = ~std::uint32_t{0};
    int level = 3;
    std::uint32_t roomy = kNone, least = kNone;
    std::uint64_t roomy_weight = 0, least_weight = 0;
    for (const std::uint32_t member : members_) {
      const int near = nearness(holders_[chunk], member);
      if (near > level || near == 3) continue;
      if (near < level) level = near, roomy = least = kNone;
      const std::uint64_t load = loads_[member], own = weight(key, member);
      if (load < limit_ && (roomy == kNone || own > roomy_weight)) roomy = member, roomy_weight = own;
      if (least == kNone || load < loads_[least] || (load == loads_[least] && own > least_weight)) {
        least = member, least_weight = own;
      }
    }
    std::uint32_t chosen = roomy;
    if (chosen == kNone) chosen = make_room(chunk, copy, level).value_or(least);
    holders_[chunk].push_back(chosen);
    ++loads_[chosen];
  }

  // All that `chunk` may go to are full: an earlier chunk leaves one of them for a member with room, where the two may
  // change. Hosts of very different sizes leave no such pair; then it is not looked for again and again.
  std::optional<std::uint32_t> make_room(std::uint64_t chunk, std::size_t copy, int level) {
    constexpr int kPatience = 16;
    if (in_vain_ >= kPatience) return std::nullopt;
    std::vector<std::uint32_t> free;
    for (const std::uint32_t member : members_) {
      if (loads_[member] < limit_) free.push_back(member);
    }
    for (std::uint64_t other = chunk; other-- > 0;) {
      const std::uint32_t wanted = holders_[other][copy];
      if (nearness(holders_[chunk], wanted) != level) continue;
      const std::span<const std::uint32_t> before(holders_[other].data(), copy);
      const int same = nearness(before, wanted);
      for (const std::uint32_t member : free) {
        if (nearness(before, member) != same) continue;
        holders_[other][copy] = member;
        ++loads_[member];
        --loads_[wanted];
        return wanted;
      }
    }
    ++in_vain_;
    return std::nullopt;
  }

  std::vector<std::uint32_t> members_;  // that chunks may go to
  std::uint64_t limit_;
  std::vector<std::vector<std::uint32_t>> holders_;
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint32_t> hosts_, islands_;
  std::vector<std::uint64_t> loads_;  // of this copy
  std::size_t copy_ = 0;
  int in_vain_ = 0;
};

}  // namespace

std::vector<std::uint64_t> Placement::chunks_of(std::uint32_t member, std::size_t copy) const {
  std::vector<std::uint64_t> chunks;
  for (std::uint64_t chunk = 0; chunk < holders.size(); ++chunk) {
    if (copy < holders[chunk].size() && holders[chunk][copy] == member) chunks.push_back(chunk);
  }
  return chunks;
}

Placement place(const View& view, std::uint64_t chunks, std::size_t copies) {
  CADRE_CHECK(view.size() > 0 && copies > 0, view.size(), " members, ", copies, " copies");
  return {Placing(view, chunks, copies).take()};
}

}  // namespace cadre::runtime
