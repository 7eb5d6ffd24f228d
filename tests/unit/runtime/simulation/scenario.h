// What a simulated run is to be, and what happens to it: values, made from a seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/members.h"
#include "runtime/workload.h"
#include "tests/unit/runtime/simulation/simulated_clock.h"

namespace cadre::simulation {

struct Fault {
  enum class What {
    kKillRank,
    kCrashHost,         // a rank is gone, and nobody hears the end of its connections
    kStopRank,          // and continue
    kBreakConnection,   // of a rank to the coordinator; both notice
    kLoseConnection,    // the rank notices, the coordinator does not
    kForgetConnection,  // the coordinator notices, the rank does not
    kCutControl,        // both ways between a rank and the coordinator
    kCutControlOneWay,  // from the rank if `other` is odd, else from the coordinator
    kCutPeers,          // between two ranks
    kSlowNetwork,       // all of it
    kKillCoordinator,   // after `other` more effects; the entry that it writes may be torn
    kCrashCoordinator,  // its machine: what was not forced to the disk may be cut
    kStopCoordinator,   // and continue
    kFailShards,        // the disk refuses what ranks write
    kFailPublishing,    // a shard cannot be read back
    kSlowDisk,
    kDrainHost,  // that of a rank
    kInvite,     // the drained ranks again, or else a rank with a new number
    kStopRun,    // a signal to the launcher; the run is then started again
    kCount,
  };
  Duration at{};  // since the start
  What what = What::kKillRank;
  runtime::Rank who = 0, other = 0;
  Duration lasts{};
};
const char* name_of(Fault::What what);

struct Scenario {
  std::uint64_t seed = 1;
  std::size_t ranks = 3, ranks_of_host = 1;
  runtime::Workload workload = {};
  runtime::RunPolicy policy = {};
  bool ranks_return = true;
  std::size_t min_ranks = 1;
  Duration rejoin_wait{};
  Duration progress_limit{};  // 0: none
  std::vector<Fault> faults = {};
};

// `steps` and the rest within what a few simulated seconds do.
Scenario random_scenario(std::uint64_t seed);
std::string describe(const Scenario& scenario);

}  // namespace cadre::simulation
