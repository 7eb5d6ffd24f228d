// What the coordinator wants done. The shell around it does these things in order, and answers with events.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "runtime/checkpoint_store.h"
#include "runtime/connection.h"
#include "runtime/json_lines.h"
#include "runtime/messages.h"

namespace cadre::runtime {

// The shell's clock, given with each event; nothing here asks for the time.
using TimePoint = std::chrono::steady_clock::time_point;

// One message to each of `to`: a view of thousands of ranks is encoded once.
struct Tell {
  std::vector<Connection> to;
  CoordinatorMessage message;
};

// What was told before still goes out; no event of this connection follows.
struct Close {
  Connection connection = 0;
  std::string reason;
};

// Into the term's journal, and durable before any later effect is done. Always with "event", "step" and "reason", as
// journal.jsonl has them.
struct Journal {
  boost::json::object entry;
  Durability durability = Durability::kDisk;
  bool for_people = true;  // into journal.jsonl too
};

// Every shard of a checkpoint is on the disk: verify and publish it, then call on_checkpoint_published(). Training goes
// on meanwhile.
struct Publish {
  Manifest manifest;  // without `created` and `shards`
  std::vector<Shard> shards;
  std::string reason;
};

// Its shards will never be complete: what is written of them can go. With a problem, on_checkpoint_published() is
// called with it once they are gone: the disk may have been too small for them.
struct GiveUpCheckpoint {
  std::uint64_t step = 0;
  Stamp stamp = {};  // of the order
  std::string problem = {};
};

// Before all go back to it: find the newest checkpoint whose every byte is right, then call on_checkpoint_found().
struct FindCheckpoint {};

struct RemoveCheckpoint {
  std::uint64_t step = 0;
};

// ---- for the records

// What was accumulated since the last line of metrics.jsonl.
struct Window {
  double loss_sum = 0;
  std::uint64_t steps = 0, tokens = 0;
  std::uint64_t skipped = 0;  // steps beside those

  bool operator==(const Window&) const = default;
};

struct LedgerEntry {
  std::uint32_t micro_batch = 0;
  Rank rank = 0;
  std::uint64_t view = 0;  // in which it was computed
  std::vector<std::uint32_t> samples;
};

// An update is decided and on its way to the ranks.
struct Committed {
  Stamp stamp;
  std::uint64_t step = 0;  // updates done, this one included
  double epoch = 0;
  double loss = 0, grad_norm = 0, clip_scale = 1;
  bool is_skipped = false;  // it counts, but no parameter changes: loss or norm are not finite
  std::uint64_t tokens = 0, trained_tokens = 0;
  std::vector<LedgerEntry> micro_batches;  // by index
  std::size_t ranks = 0;
  double compute_seconds = 0, exchange_seconds = 0;  // of the slowest rank
  Window window;                                     // with this step
  bool logged = false;                               // a line of metrics.jsonl is due; the window then begins anew
  TimePoint at = {};                                 // of the decision, however late it is recorded
};

struct EvaluationDone {
  std::uint64_t step = 0;
  double epoch = 0;
  double loss = 0;
  bool best = false;
  TimePoint at = {};
};

// All ranks went back: lines about later steps are forgotten, from_start also those about step 0.
struct RolledBack {
  std::uint64_t step = 0;
  std::uint64_t generation = 0;
  bool from_start = false;
  std::string reason;
};

// A new coordinator goes on where the one before it died. Its records stand up to step `kept`; what follows of them
// comes now. `seconds`: of work for what follows, before this coordinator was there.
struct Recovered {
  std::uint64_t kept = 0;
  double seconds = 0;
};

struct Say {
  std::string line;
  bool warning = false;
};

enum class RunOutcome { kSucceeded, kStopped, kFailed, kUserError };

// The last effect of a run.
struct Finished {
  RunOutcome outcome = RunOutcome::kFailed;
  std::string reason;
  std::uint64_t step = 0;
  std::map<std::string, std::string> result_sha256;  // of each file of the result
  std::string result_of;                             // which step's parameters, in words
};

using Effect = std::variant<Tell, Close, Journal, Publish, GiveUpCheckpoint, FindCheckpoint, RemoveCheckpoint,
                            Committed, EvaluationDone, RolledBack, Recovered, Say, Finished>;
using Effects = std::vector<Effect>;

}  // namespace cadre::runtime
