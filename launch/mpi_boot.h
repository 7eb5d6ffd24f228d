// What MPI is for: a process that mpirun started learns its place in its island and gets the boot message. MPI is
// finalized before this returns; no rank's life depends on it from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "launch/boot.h"
#include "runtime/error.h"

namespace cadre::launch {

struct MpiBoot {
  Boot boot = {};
  std::uint32_t rank = 0;        // within the island; the run's is boot.first_rank + rank
  std::uint32_t local_rank = 0;  // among the island's on this host: chooses device and processors
  std::uint32_t local_size = 1;  // their number
  std::uint32_t size = 1;        // of the island

  std::uint32_t run_rank() const { return boot.first_rank + rank; }
};

// Whether mpirun started this process.
bool is_started_by_mpirun();
// This process's rank within its island, and how many those are, before MPI is initialized; 0 outside of one.
std::uint32_t rank_in_island();
std::uint32_t island_size();

// In a rank that our launcher's mpirun started: the first rank reads the message from stdin, to its end. Ends with
// the shell that watches it. UserError: the message is not one; RunError: MPI fails.
MpiBoot boot_from_stdin();
// The others of an island hear so that the first could not make the message.
class FirstRankFailed : public runtime::RunError {
 public:
  FirstRankFailed() : RunError("the first rank of this mpirun could not start the run") {}
};

// In a rank of a user's own mpirun. The first rank is asked for the message, with the names of all hosts that have
// ranks of this island; what it throws comes out of this, and of the others' as FirstRankFailed.
MpiBoot boot_from_first_rank(const std::function<std::string(const std::vector<std::string>& hosts)>& make_message);

}  // namespace cadre::launch
