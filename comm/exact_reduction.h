// From the gradients of a step's micro-batches, wherever they were computed, to each chunk's sum at its holders: always
// the same bits, for any number of ranks and any shares.
//
// Each member contributes nodes of the fixed tree over the micro-batches. Every chunk's owner receives its piece of
// every node, from members of other hosts by way of one that gathers there (host_routes.h), adds up the tree and passes
// the sum on to the backups. Both sides of each transfer derive its place in the order and its size from the plan.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/host_routes.h"
#include "comm/reduction_tree.h"
#include "runtime/chunks.h"
#include "runtime/micro_batches.h"
#include "runtime/placement.h"

namespace cadre::comm {

struct ReductionPlan {
  std::uint32_t micro_batches = 0;                      // of the step
  std::vector<std::vector<runtime::Range>> nodes = {};  // [member]: what it contributes; together they tile the step
  runtime::ChunkSpace chunks = {};
  const runtime::Placement* placement = nullptr;  // outlives the reduction
  std::vector<std::uint32_t> hosts = {};          // [member], numbered from 0; empty: all are on one
  // Memory for one node of each member at a time: the k-th nodes of all are exchanged before the next ones.
  bool in_rounds = false;
  // In rounds: nothing reads what this member has contributed of the chunk any more. At the end of its round at last.
  std::function<void(std::uint64_t chunk)> on_left = [](std::uint64_t) {};
};

// Sums by chunk, in ascending order.
using ReducedChunks = std::map<std::uint64_t, Operand>;

// Used by one thread, once. What was contributed stays in place until the result is of no more use; in rounds, until
// the plan's on_left tells of it.
class ExactReduction {
 public:
  // Posts the receives. `communicator` and the plan's placement outlive it.
  ExactReduction(Communicator& communicator, ReductionPlan plan);
  // One that was not finished is given up.
  ~ExactReduction() { give_up(); }
  ExactReduction(const ExactReduction&) = delete;
  ExactReduction& operator=(const ExactReduction&) = delete;

  // The sum of this member's next node, over the whole flat space: its pieces leave for their owners.
  void contribute(std::span<const float> sum);
  // The same piece by piece, chunks in descending order as the backward pass completes them; the last one ends the
  // node.
  void contribute_chunk(std::uint64_t chunk, std::span<const float> sum);

  // Unless it is finished: aborts the communicator, and returns when nothing reads what was contributed any more.
  void give_up() noexcept;

  // In rounds, after each contribution: until the round's nodes of all members are where they belong. CommError,
  // Aborted.
  void end_round();

  // After the last contribution: the sums of all chunks that this member owns or backs up. CommError, Aborted.
  ReducedChunks finish();

 private:
  struct Arrival {
    runtime::Range node;
    std::uint64_t chunk;
    std::vector<float> values;
  };
  // Transfers to this member that began together.
  struct Arrivals {
    std::vector<Arrival> values = {};
    Group group = {};
    Communicator::Ticket ticket = 0;
    bool is_taken = false;
  };

  // This exchange's part of what `member` contributes.
  std::vector<runtime::Range> nodes_of_round(std::size_t member) const;
  void begin_round();
  void receive_contributions();
  void receive_gathered();
  // One transfer to this member, by the order of its sender.
  void receive(Arrivals& arrivals, std::uint32_t from, runtime::Range node, std::uint64_t chunk);
  // When they are there.
  void take_in(Arrivals& arrivals);
  bool are_there(const Arrivals& arrivals) { return arrivals.is_taken || communicator_.is_done(arrivals.ticket); }
  // What is gathered here leaves as it becomes complete, while this member still computes.
  void send_what_is_complete();
  void send_gathered(std::uint64_t chunk);
  // Where a chunk's nodes meet: of its owner, or of the one that gathers them here.
  NodeSums& sums_of(std::uint64_t chunk);
  void pass_on(ReducedChunks& sums);
  void tell_what_has_left();

  Communicator& communicator_;
  ReductionPlan plan_;
  std::uint32_t self_;
  std::optional<HostRoutes> routes_;                         // of the round
  std::map<std::uint64_t, NodeSums> sums_;                   // of the chunks that this member owns
  std::map<std::uint64_t, NodeSums> gathered_;               // of those that it gathers for an owner on another host
  std::vector<std::pair<runtime::Range, Operand>> sent_on_;  // from there; under way
  Arrivals early_;                                           // contributions but each member's last node
  std::map<std::uint64_t, Arrivals> late_;                   // and these, by chunk
  Arrivals from_hosts_;                                      // what other hosts have gathered
  std::vector<Communicator::Ticket> tickets_;
  std::deque<std::pair<Communicator::Ticket, std::uint64_t>> leaving_;  // chunks of the round, for on_left
  std::size_t next_node_ = 0;
  std::uint64_t own_front_ = 0;  // this member has contributed all that it has of the chunks from here on
  std::size_t round_ = 0, rounds_ = 1;
  bool is_finished_ = false;
};

}  // namespace cadre::comm
