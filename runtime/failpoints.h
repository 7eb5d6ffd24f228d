// Faults at exact places, for tests/faults: what a signal from outside cannot hit. Off, one costs a relaxed load.
//
//   CADRE_FAILPOINTS="marks=/tmp/marks;prepared@7/1=kill;exchange@*/0=pause:500"
//
// Each is PHASE@STEP/WHO=ACTION. STEP: the updates done before, or * for whichever comes first. WHO: the number of a
// rank, `coordinator` or `launcher`. ACTION: kill and stop (SIGKILL and SIGSTOP to itself), pause:MILLISECONDS, error
// (throws RunError), flip (the caller changes a bit of what it has in hand: at load the known answer, at exchange the
// reduced gradient, at apply the state, at gather a parameter), slow:MILLISECONDS (a pause each time). Each fires once
// in a process; with marks=FOLDER once in all of them, those that take another's place included: who fires makes the
// file PHASE@STEP.WHO there first, with its process number in it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace cadre::runtime {

enum class Failpoint {
  kStart,       // the process knows who it is
  kJoin,        // rank: was let in; coordinator: lets one in
  kLoad,        // rank: model and data are loaded, nobody knows
  kData,        // data are prepared
  kForward,     // before a micro-batch
  kBackward,    // after it, nobody knows
  kExchange,    // before the wait for others' sums
  kPrepared,    // rank: before its vote; coordinator: all have voted, nothing is journaled
  kCommitted,   // rank: before the update; coordinator: journaled, nobody knows
  kApply,       // rank: one chunk is updated, others are not; coordinator: told, not recorded
  kGather,      // before the parameters are gathered
  kEvaluate,    // before a unit of validation
  kCheckpoint,  // rank: before it writes its shard; coordinator: before it publishes
  kShard,       // rank: the shard is on the disk, nobody knows
  kRecovery,    // rank: before it answers a fence; coordinator: before it tells one
  kMove,        // rank: before it copies state in a new view
  kCopy,        // rank: of a checkpoint that it copies to its host the manifest is there
  kEnd,         // rank: the result is written, not verified; coordinator, launcher: before they say so
};
inline constexpr std::array<std::string_view, 18> kPhaseNames{
    "start", "join",   "load",     "data",       "forward", "backward", "exchange", "prepared", "committed",
    "apply", "gather", "evaluate", "checkpoint", "shard",   "recovery", "move",     "copy",     "end"};

class Failpoints {
 public:
  // Those of `who` in `text`. UserError where it is malformed, whoever it is for.
  static std::unique_ptr<Failpoints> parse(const std::string& text, const std::string& who);
  Failpoints();
  ~Failpoints();

  // Any thread. True: the caller is to flip a bit.
  bool reached(Failpoint phase, std::uint64_t step);
  bool empty() const;

 private:
  struct Point;
  std::unique_ptr<Point[]> points_;
  std::size_t count_ = 0;
  std::string marks_, who_;
};

// Reads CADRE_FAILPOINTS, once in a process, before its other threads start. UserError as above.
void arm_failpoints(const std::string& who);

namespace detail {
inline std::atomic<Failpoints*> armed_failpoints = nullptr;
}

// Where a phase is reached. Mostly false; true: the caller is to flip a bit.
inline bool reach(Failpoint phase, std::uint64_t step) {
  Failpoints* armed = detail::armed_failpoints.load(std::memory_order_relaxed);
  return armed != nullptr && armed->reached(phase, step);
}

}  // namespace cadre::runtime
