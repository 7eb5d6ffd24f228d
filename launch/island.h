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

// What a rank's stdout may say to the launcher; everything else is log.
inline constexpr char kBootedLine[] = "cadre-island-booted";  // once an island: all its ranks have what they need
inline constexpr char kRankEndedLine[] =
    "cadre-rank-ended ";  // by the shell that watches the rank; a shell's $? follows

// Takes mpirun's --tag-output apart. A tag may stand in the middle of a line, and one rank's after another's half line.
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
