// Every chunk's values from those who have them to everybody else. Inside a host first, then between hosts: a chunk
// that a member of the host has does not come from another; one that none has comes once, to another of the host's
// members for each chunk, which passes it on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "runtime/chunks.h"
#include "runtime/placement.h"

namespace cadre::comm {

struct GatherPlan {
  runtime::ChunkSpace chunks = {};
  const runtime::Placement* holders = nullptr;  // [chunk]: the members that have the right values, one at least
  std::vector<std::uint32_t> hosts = {};        // [member], numbered from 0; empty: all are on one
  std::vector<bool> receivers = {};             // [member]: who is to have them; empty: all
};

// Used by one thread, once. Others' values come by the order of the plan, so that all begin their gathers and other
// groups in the same order.
class AllGather {
 public:
  // Begins. `values` is the whole flat space and stays in place, right in the chunks that this member has, until
  // finish() has returned or the communicator is aborted. Both outlive it.
  AllGather(Communicator& communicator, const GatherPlan& plan, std::span<float> values);

  // Until this member has and has sent what it was to. CommError, Aborted.
  void finish();

 private:
  Communicator& communicator_;
  Group passed_on_;  // within a host, what has come from another
  Communicator::Ticket ticket_ = 0;
};

}  // namespace cadre::comm
