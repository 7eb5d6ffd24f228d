// Ranks that hold different bytes where they must hold the same: what is done about it, and who was wrong.
//
// What a chunk of state and its reduced gradient are at a step follows from configuration, data and step alone. So what
// all its holders at last agree on, and the step is committed with, is right, and a rank that had said otherwise of it
// has erred. No copy is believed against another before that. The step is computed again, then all go back to a
// checkpoint and come to it once more; when they still differ, whoever contradicts itself goes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/messages.h"

namespace cadre::runtime {

// Which ranks have other parameters after `step` updates than the rest, by a digest of them. Empty: all the same.
std::string parameters_problem(std::span<const std::pair<Rank, std::uint64_t>> digests, std::uint64_t step);

class Disputes {
 public:
  // A rank that has erred in so many steps is put out.
  static constexpr std::uint32_t kMostErrors = 2;
  // In place of a chunk's number: all parameters, as they were gathered after the step before.
  static constexpr std::uint64_t kParameters = ~std::uint64_t{0};

  enum class Remedy {
    kDoAgain,  // compute the step again
    kGoBack,   // to a checkpoint that a later vote has confirmed
    kPutOut,   // those that contradict themselves
    kGiveUp,
  };

  // The votes on this step disagree once more. `state_is_in_doubt`: another computation would begin from what differs.
  Remedy disagreed(std::uint64_t step, bool state_is_in_doubt);
  // This step is to be voted on chunk by chunk: it is in dispute, or comes before one that is.
  bool is_open(std::uint64_t step) const { return attempts_ > 0 && step <= step_; }

  // While it is open: what `rank` says of chunks at this step.
  void hear(std::uint64_t step, Rank rank, std::span<const ChunkDigest> said);
  // Who contradicts itself; else, where more than half of three or more say the same of something, the others.
  std::vector<Rank> suspects() const;

  // All agree, on `truth` by chunk: the step is settled. Who had said otherwise, and in how many steps by now.
  std::map<Rank, std::uint32_t> settle(std::uint64_t step, const std::map<std::uint64_t, std::uint64_t>& truth);

  // It was put out; its successor begins without blame.
  void forget(Rank rank);

 private:
  std::uint64_t step_ = 0;      // the highest in dispute
  std::uint32_t attempts_ = 0;  // to settle it, that failed; 0: nothing is in dispute
  // What each rank has said, by step and chunk.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::map<Rank, std::set<std::uint64_t>>> said_;
  std::map<Rank, std::uint32_t> errors_;
};

}  // namespace cadre::runtime
