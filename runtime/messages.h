// What ranks and coordinator say to each other once a connection is authenticated. Values only; encoding is in codec.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "runtime/members.h"
#include "runtime/order.h"
#include "runtime/workload.h"

namespace cadre::runtime {

// ---- rank → coordinator

// The first message. `self.rank` is the number that the launcher gave, or kAnyRank; endpoints may still be empty.
struct Join {
  Member self = {};
  std::string folder_proof = {};  // names the file that it left in the run's folder; empty: it could not
  bool operator==(const Join&) const = default;
};

// Model and data are loaded: the rank can be put into a view.
struct Ready {
  Workload workload = {};
  std::vector<Endpoint> endpoints = {};  // of its transport
  bool operator==(const Ready&) const = default;
};

struct MicroBatchResult {
  std::uint32_t index = 0;
  double loss_sum = 0;  // over its trained tokens
  std::uint64_t tokens = 0, trained_tokens = 0;
  std::vector<std::uint32_t> samples = {};  // rows of the dataset
  std::uint64_t view = 0;                   // in which it was computed
  bool operator==(const MicroBatchResult&) const = default;
};

// Sent after each micro-batch, and where there is no result now and then while an evaluation or the writing of the
// result gets on: what the progress limit looks at.
struct Progress {
  Stamp stamp = {};
  std::uint64_t step = 0;
  MicroBatchResult result = {};
  bool operator==(const Progress&) const = default;
};

struct ChunkNorm {
  std::uint64_t chunk = 0;
  double squares = 0;  // Σ gradient² of the chunk
  bool operator==(const ChunkNorm&) const = default;
};

struct ChunkDigest {
  std::uint64_t chunk = 0;
  std::uint64_t digest = 0;  // of (chunk, gradient, state)
  bool operator==(const ChunkDigest&) const = default;
};

// The vote: this rank holds all that it needs to apply the update.
struct Prepared {
  Stamp stamp = {};
  std::uint64_t step = 0;
  std::vector<ChunkNorm> norms = {};  // of the chunks that it owns, ascending
  std::vector<std::uint64_t> copy_digests =
      {};                               // [copy]: Σ over its chunks of that copy of hash(chunk, gradient, state)
  std::uint64_t parameters_digest = 0;  // of all parameters, before this update
  double compute_seconds = 0, exchange_seconds = 0;
  // In an audit, of all copies that it holds; and what it voted for on this step the time before.
  std::vector<ChunkDigest> held = {}, held_before = {};
  bool operator==(const Prepared&) const = default;
};

struct UnitLoss {
  std::uint32_t unit = 0;
  double loss_sum = 0;
  std::uint64_t trained_tokens = 0;
  bool operator==(const UnitLoss&) const = default;
};

struct Evaluated {
  Stamp stamp = {};
  std::uint64_t step = 0;
  std::vector<UnitLoss> units = {};
  std::uint64_t parameters_digest = 0;  // of all parameters that the losses are of, as in Prepared
  bool operator==(const Evaluated&) const = default;
};

// The answer to a Fence.
struct Report {
  Stamp stamp;                                 // the view that is left
  std::uint64_t committed = 0;                 // updates applied and gathered
  std::uint64_t step = 0;                      // the step in hand
  std::vector<Range> held;                     // whole nodes of its tree that it holds
  std::vector<MicroBatchResult> results = {};  // of the leaves in `held`
  bool operator==(const Report&) const = default;
};

// A shard of the checkpoint of `step` is on disk.
struct ShardWritten {
  Stamp stamp = {};
  std::uint64_t step = 0;
  std::string file = {}, sha256 = {};
  std::uint64_t bytes = 0;
  bool operator==(const ShardWritten&) const = default;
};

struct ShardFailed {
  Stamp stamp = {};
  std::uint64_t step = 0;
  std::string reason = {};
  bool operator==(const ShardFailed&) const = default;
};

struct ResultWritten {
  Stamp stamp = {};
  std::map<std::string, std::string> sha256 = {};  // of each file
  std::string of = {};                             // which step's parameters, in words
  bool operator==(const ResultWritten&) const = default;
};

// This rank cannot go on, and nor would another in its place: the run ends with this reason.
struct Failed {
  bool user_can_mend = false;  // exit code 2, else 1
  std::string reason = {};
  bool operator==(const Failed&) const = default;
};

// A line that the user should see.
struct Note {
  bool warning = false;
  std::string text = {};
  bool operator==(const Note&) const = default;
};

struct Heartbeat {
  bool operator==(const Heartbeat&) const = default;
};

// The first message on a connection that takes the place of one that was lost, with the coordinator or without it.
struct Rejoin {
  Member self = {};             // as Welcome has named it; endpoints as in Ready
  Stamp stamp = {};             // of its view; view 0: none yet
  std::uint64_t committed = 0;  // updates applied and gathered
  bool is_ready = false;        // has sent Ready
  Workload workload = {};       // where it is ready
  bool operator==(const Rejoin&) const = default;
};

// This rank lost its connection to another member of its view, or cannot make one.
struct PeerLost {
  Stamp stamp = {};
  Rank peer = 0;
  bool operator==(const PeerLost&) const = default;
};

// ---- rank → file server (file_server.h), on connections of their own; each is answered by a FileAnswer

// A piece of a file of the run.
struct ReadFile {
  std::string path = {};
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;  // at most; fewer come at the file's end
  bool operator==(const ReadFile&) const = default;
};

// The next piece of a file that appears whole with its last one.
struct WriteFile {
  std::string path = {};
  std::uint64_t offset = 0;
  std::string bytes = {};
  bool operator==(const WriteFile&) const = default;
};

// All was written: it appears, if this is what has arrived.
struct FinishFile {
  std::string path = {};
  std::uint64_t bytes = 0;
  std::string sha256 = {};
  bool operator==(const FinishFile&) const = default;
};

using MemberMessage =
    std::variant<Join, Ready, Progress, Prepared, Evaluated, Report, ShardWritten, ShardFailed, ResultWritten, Failed,
                 Note, Heartbeat, Rejoin, PeerLost, ReadFile, WriteFile, FinishFile>;

// ---- coordinator → rank

// The answer to Join and Rejoin.
struct Welcome {
  Stamp stamp = {};
  Rank rank = 0;
  std::uint32_t incarnation = 0;
  bool shares_folder = false;              // the proof of its Join was found
  std::vector<Endpoint> file_server = {};  // else: where the files of the run can be had
  bool operator==(const Welcome&) const = default;
};

struct Refused {
  std::string reason = {};
  bool operator==(const Refused&) const = default;
};

// Abort whatever you wait for, forget `stamp` and report.
struct Fence {
  Stamp stamp = {};
  bool operator==(const Fence&) const = default;
};

struct NewView {
  View view = {};
  // The checkpoint's folder to load before the order, empty: the seeded start. Only where `load` is true; otherwise
  // chunks move from those members that hold them by the placement of `resident_in`, an earlier view.
  bool load = false;
  std::string checkpoint = {};
  View resident_in = {};
  std::uint32_t state_copies = 2;
  Order order = {};
  bool operator==(const NewView&) const = default;
};

struct Commit {
  Stamp stamp = {};
  std::uint64_t step = 0;  // the update that is decided
  bool apply = true;       // false: skipped, on every rank
  double clip_scale = 1;   // the factor of every gradient
  Order next = {};
  bool operator==(const Commit&) const = default;
};

// The next order where there was nothing to commit (after an evaluation).
struct Proceed {
  Stamp stamp = {};
  Order next = {};
  bool operator==(const Proceed&) const = default;
};

struct FileAnswer {
  std::string problem = {};  // empty: done
  std::uint64_t size = 0;    // of the file that is read
  std::string bytes = {};    // the piece that was asked for
  bool operator==(const FileAnswer&) const = default;
};

using CoordinatorMessage = std::variant<Welcome, Refused, Fence, NewView, Commit, Proceed, FileAnswer>;

// What a rank must not learn only when its main thread is done with what it is at.
bool is_urgent(const CoordinatorMessage& message);

// The term of its stamp; 0: it has none.
std::uint64_t term_of(const CoordinatorMessage& message);

}  // namespace cadre::runtime
