// The votes on one step: what each rank has computed and holds, and what follows from all of them together. All sums
// in one fixed order, whoever computed what and in whatever order it comes in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/effects.h"
#include "runtime/placement.h"

namespace cadre::runtime {

// What a message did. A broken one says what no rank of this program says.
struct Taken {
  enum class As { kTaken, kIgnored, kBroken } as = As::kTaken;
  std::string problem = {};

  static Taken taken() { return {}; }
  static Taken ignored() { return {As::kIgnored, {}}; }
  static Taken broken(std::string problem) { return {As::kBroken, std::move(problem)}; }
};

// A member is given by its index in the view.
class StepVotes {
 public:
  struct Step {
    std::uint64_t step = 0;  // updates before it
    std::uint32_t micro_batches = 0;
    const View& view;
    const Placement& placement;  // outlives the votes
    std::size_t copies = 1;
    bool in_rounds = false;  // without shares: as even_shares() has it
  };
  // `shares` is empty, or has one share a member. Forgets the step before.
  void begin(const Step& step, std::span<const Share> shares);

  // What a member reported of a micro-batch that it holds since before this view; before any other message.
  void keep(std::uint32_t member, LedgerEntry&& from, MicroBatchResult&& result);

  Taken take(std::uint32_t member, Progress&& progress);
  Taken take(std::uint32_t member, const Prepared& vote);

  bool complete() const { return voted_ == members_.size(); }
  bool has_voted(std::uint32_t member) const { return members_[member].voted; }
  // Has still to compute; the others wait for it.
  bool owes_results(std::uint32_t member) const { return members_[member].missing > 0; }

  // ---- once complete

  // Why the step must be done again: copies of a chunk that differ. Empty: they agree.
  std::string copy_problem() const;
  // Which ranks have other parameters than the rest. Empty: all the same.
  std::string parameters_problem() const;

  // Where it comes from that loss or norm are not finite: micro-batches by their loss, chunks by their gradient.
  std::vector<std::uint32_t> nonfinite_micro_batches() const;
  std::vector<std::uint64_t> nonfinite_chunks() const;

  // Who has computed how much in this view, and in what time.
  struct Work {
    Rank rank = 0;
    std::uint64_t tokens = 0;
    double seconds = 0;
  };
  std::vector<Work> work() const;

  // What each rank says that it holds, in an audit chunk by chunk; and what the owners say, by chunk.
  const std::vector<std::pair<Rank, std::vector<ChunkDigest>>>& statements() const { return statements_; }
  std::map<std::uint64_t, std::uint64_t> owners_statements() const;

  // Everything but stamp, epoch, clip scale and window. Takes the samples along.
  Committed outcome();

 private:
  struct Result {
    MicroBatchResult values;
    std::uint64_t view = 0;
    std::uint32_t member = 0;
    Rank rank = 0;
    bool assigned = false, in = false, kept = false;
  };
  struct MemberVote {
    std::uint32_t missing = 0;  // micro-batches
    std::uint32_t owned = 0;    // chunks
    Rank rank = 0;
    bool voted = false;
    std::uint64_t parameters_digest = 0;
    double compute_seconds = 0;
  };

  std::uint64_t step_ = 0;
  const Placement* placement_ = nullptr;
  std::size_t copies_ = 1;
  std::vector<Result> results_;
  std::vector<MemberVote> members_;
  std::vector<double> squares_;              // by chunk
  std::vector<std::uint64_t> copy_digests_;  // by copy
  std::size_t voted_ = 0;
  double compute_seconds_ = 0, exchange_seconds_ = 0;
  std::vector<std::pair<Rank, std::vector<ChunkDigest>>> statements_;
  std::map<std::uint64_t, std::uint64_t> owners_statements_;
};

// min(1, max_norm ÷ norm), 1 without a limit.
double clip_scale_of(double norm, double max_norm);

}  // namespace cadre::runtime
