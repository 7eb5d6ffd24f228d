// An island: the ranks that one mpirun starts. Here its command line and what comes out of it, both as pure functions
// of their input; what was measured of Open MPI 4.1.4 and is the reason for each word stands in island.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch/child_process.h"

namespace cadre::launch {

struct IslandCommand {
  std::string host = {};  // empty: this machine, without ssh
  std::uint32_t ranks = 1;
  std::vector<std::string> rank_command = {};  // of each rank; an absolute path first, the same on every host
  std::vector<std::string> variables = {};     // names that a remote rank gets from this process's environment
  std::string scratch = {};                    // mpirun's own files; empty: /tmp
  bool is_root = false;
};

// The words of the mpirun command.
std::vector<std::string> island_command_line(const IslandCommand& island);

// What comes among a rank's stderr for the launcher: one stream, so that a rank's last words come before its end.
inline constexpr char kBootedLine[] = "cadre-rank-booted ";    // MPI is over for it; its process number follows
inline constexpr char kRankEndedLine[] = "cadre-rank-ended ";  // from the shell that watches it; its $? follows
class TaggedOutput {
 public:
  static constexpr std::uint32_t kMpirun = ~std::uint32_t{0};

  struct Piece {
    std::uint32_t rank = kMpirun;  // within the island; kMpirun: its own words
    bool is_stdout = false;
    std::string text = {};

    bool operator==(const Piece&) const = default;
  };

  // The pieces that are certain; a beginning that may become a tag waits for the next call or for finish().
  std::vector<Piece> take(std::string_view bytes);
  std::vector<Piece> finish();

 private:
  std::string held_;
  Piece source_;  // whose bytes come next
};

}  // namespace cadre::launch
