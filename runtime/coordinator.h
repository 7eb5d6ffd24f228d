// The one that knows who is alive, what is committed and what comes next: DESIGN §4 as a state machine without sockets,
// clocks or files. Events in, effects out; used by one thread.
//
//   gathering → (view: order → votes → commit)* → result → end
//                  ↑      │ a member is lost, or one comes back
//                  └ new view ← reports ← fence
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/effects.h"
#include "runtime/term_journal.h"

namespace cadre::runtime {

struct CoordinatorOptions {
  std::string run_id = {};
  std::uint64_t term = 1;
  std::size_t expected_ranks = 1;  // numbers 0 to expected_ranks − 1
  std::size_t min_ranks = 1;       // with fewer nothing is computed
  std::size_t numbers = 0;         // of ranks that may take part, where more were invited since
  RunPolicy policy = {};
  std::uint64_t logging_steps = 1;  // between two lines of metrics.jsonl

  std::chrono::milliseconds join_limit{300'000};     // for a rank that is not heard, since the last one came
  std::chrono::milliseconds rejoin_wait{0};          // with too few ranks, before the run ends; 0: it ends at once
  std::chrono::milliseconds heartbeat_limit{3'000};  // of silence
  std::chrono::milliseconds progress_limit{0};       // without progress while work is ordered; 0: by the steps so far
  std::chrono::milliseconds fence_limit{60'000};     // from a fence to its report

  // Where the run starts: the folder of the checkpoint and its manifest, or the seeded start (folder empty).
  struct Start {
    std::string folder = {};
    Manifest manifest = {};
  } start = {};
  // After a loss, survivors that hold every chunk between them go on from what they have; else, and without this, all
  // go back to the last checkpoint.
  bool keep_state = false;

  std::uint64_t last_view = 0, last_generation = 0;  // that earlier terms and starts have used
  std::map<Rank, std::uint32_t> incarnations = {};   // likewise, the last one of each rank
  // This coordinator takes the place of one that died: the members of its last view come back by themselves, and are
  // lost when they do not within the heartbeat limit, or their process has ended. Empty: it had no view.
  std::map<Rank, Awaited> awaited = {};
  TermHistory before = {};                 // what the journal has of it
  std::optional<Finished> end = {};        // it had come to the end, and perhaps nobody knows
  std::string launch = {};                 // names the start of the run that this term belongs to
  std::string checkpoints = {};            // folder of the checkpoints, as the ranks see it
  std::set<std::uint64_t> published = {};  // steps of those that are there

  // For the journal: this coordinator's process, and which start of the run it serves, as run.json counts them.
  std::string host = {};
  std::int64_t pid = 0;
  std::uint64_t starts = 0;
};

class Coordinator {
 public:
  // UserError when the start's manifest is of another form.
  Coordinator(CoordinatorOptions options, TimePoint now);
  Coordinator(Coordinator&&) noexcept;
  ~Coordinator();

  Effects on_message(Connection from, MemberMessage message, TimePoint now);
  Effects on_closed(Connection connection, const std::string& reason, TimePoint now);
  // Its relay is gone, and it perhaps not: lost only when it does not connect anew within the heartbeat limit.
  Effects on_detached(Connection connection, TimePoint now);
  // At least every quarter of the heartbeat limit.
  Effects on_tick(TimePoint now);
  // A signal: after the step in hand a checkpoint, then the end. A run that only has its result to write goes on.
  Effects on_stop(const std::string& reason, TimePoint now);
  // Whether these ranks may leave before the end: empty, or why not.
  std::string why_not_drain(const std::set<Rank>& ranks) const;
  // They are to leave at a step's end, and not to come back: `host` is emptied. To a coordinator that takes another's
  // place it is said again.
  Effects on_drain(const std::set<Rank>& ranks, const std::string& host, TimePoint now);
  // They may take part (again), and the numbers below `numbers` are those of ranks.
  Effects on_invited(const std::set<Rank>& ranks, std::size_t numbers, const std::string& host, TimePoint now);
  // The process ended that was this rank's. Of one that is connected its connection says so; one that is to come back
  // to this coordinator is not waited for.
  Effects on_rank_ended(Rank rank, std::int64_t pid, const std::string& how, TimePoint now);
  // The launcher does not start a lost rank again: said once, and recorded.
  Effects on_left_out(Rank rank, const std::string& reason, TimePoint now);
  // The answer to Publish; `problem` is empty when the checkpoint is there.
  Effects on_checkpoint_published(std::uint64_t step, const std::string& problem, TimePoint now);
  // The answer to FindCheckpoint; an empty folder: there is none, only the seeded start.
  Effects on_checkpoint_found(const CoordinatorOptions::Start& found, TimePoint now);

  // For the live plan and tests.
  bool finished() const;
  std::uint64_t done_steps() const;
  const View& view() const;       // the last one told; version 0: none yet
  std::uint64_t ignored() const;  // messages of an older view, twice or unasked for

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace cadre::runtime
