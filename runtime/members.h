// Who takes part: ranks, and the numbered list of live ones that every message is stamped with.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cadre::runtime {

// The stable number of a process that owns one device. A rank that comes back gets its number back, with a higher
// incarnation; the older one is fenced everywhere.
using Rank = std::uint32_t;
inline constexpr Rank kAnyRank = ~Rank{0};  // in a Join: any number that is free

// Where a process listens: a numeric IPv4 or IPv6 address, or with port 0 the absolute path of a Unix socket or, after
// an '@', its name in the kernel.
struct Endpoint {
  std::string address = {};
  std::uint16_t port = 0;

  bool operator==(const Endpoint&) const = default;
};

struct Member {
  Rank rank = kAnyRank;
  std::uint32_t incarnation = 0;
  std::string host = {};     // the machine: the larger failure domain
  std::uint32_t island = 0;  // the mpirun that started it: the smaller one
  std::int64_t pid = 0;
  std::vector<Endpoint> endpoints = {};  // of its transport, the preferred one first
  bool shares_folder = false;            // it sees the run's folder as the coordinator does: shared_folder.h
  bool is_leaving = false;               // in a view: it computes, and holds no chunk any more

  bool operator==(const Member&) const = default;
};

// What fences: a message of an older stamp is dropped.
struct Stamp {
  std::uint64_t term = 0;        // the coordinator's incarnation, from 1
  std::uint64_t generation = 0;  // fall-backs to a checkpoint
  std::uint64_t view = 0;        // from 1; grows through terms and generations

  auto operator<=>(const Stamp&) const = default;
};

struct View {
  Stamp stamp = {};
  std::vector<Member> members = {};  // by rank, ascending

  std::size_t size() const { return members.size(); }
  // Position of `rank` among the members: its number in the view's communicator.
  std::optional<std::size_t> index_of(Rank rank) const;
  // This incarnation of it.
  bool has(const Member& member) const;
  // The position of the member that writes the result: the first that shares the run's folder, or else the first.
  std::size_t writer() const;
  bool operator==(const View&) const = default;
};

// Each member's host, numbered from 0 in the order of their first members.
std::vector<std::uint32_t> host_numbers(const View& view);

// The members' positions in an order in which those of a host are neighbours, hosts by their first members: who comes
// n-th.
std::vector<std::uint32_t> by_host(const View& view);

}  // namespace cadre::runtime
