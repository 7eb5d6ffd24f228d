// A rank as trainer/run/worker.h has it, with toy training in place of tensors: obeys orders, computes and exchanges,
// votes, applies and gathers, moves state when the view changes, writes checkpoints in the background.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/placement.h"
#include "tests/unit/runtime/simulation/simulated_client.h"
#include "tests/unit/runtime/simulation/toy_training.h"

namespace cadre::simulation {

class SimulatedCluster;

// What travels between ranks. The receiver derives from the plan what comes next, and says so when it is not that.
struct Frame {
  enum class Kind { kMove, kGather, kNode, kReduced } kind = Kind::kMove;
  std::uint64_t chunk = 0;
  runtime::Range node = {};
  ChunkState content = {};  // a sum is in `values`

  bool is_same_transfer(const Frame& other) const {
    return kind == other.kind && chunk == other.chunk && node == other.node;
  }
};

class SimulatedRank : public RankEnd {
 public:
  // `pid` is the number of its process: none is used twice.
  SimulatedRank(SimulatedCluster& cluster, runtime::Rank number, std::int64_t pid);
  void start();

  void received(const LinkPointer& link, const runtime::CoordinatorMessage& message) override;
  void beat_answered(const LinkPointer& link) override { client_.beat_answered(link); }
  void closed(const LinkPointer& link) override { client_.closed(link); }
  void receive_frame(const runtime::Stamp& stamp, std::uint32_t from, const Frame& frame);
  // The process at the other end of a connection between ranks is gone.
  void lose_peer(std::int64_t pid);

  runtime::Rank number() const { return self_.rank; }
  std::int64_t pid() const { return self_.pid; }
  bool has_ended() const { return at_ == At::kEnded; }
  SimulatedClient& client() { return client_; }
  // What it is at, for a person.
  std::string describe() const;

 private:
  enum class At { kIdle, kBusy, kWaiting, kEnded };
  using Continuation = std::function<void()>;
  struct Place {
    runtime::View view = {};
    std::uint32_t self = 0;
    runtime::Placement placement = {};
    bool is_aborted = false, has_committed = false, has_parameters = false;
  };
  struct Expected {
    Frame frame;
    std::function<void(const ChunkState&)> take;
  };

  // ---- the main thread
  void look();
  void idle() { at_ = At::kIdle; }
  void busy(Duration lasts, Continuation then);
  void end();
  void raise();
  void obey(const runtime::CoordinatorMessage& message);
  void take_name(const runtime::Welcome& welcome);
  void introduce();
  void install(const runtime::NewView& message);
  void load(const runtime::NewView& message);
  void commit(const runtime::Commit& message);
  void report();
  void perform(const runtime::Order& order);
  void take_snapshot(const runtime::Order& order, Continuation then);
  void evaluate(const runtime::Order& order, std::uint32_t unit, runtime::Evaluated answer);
  void write_the_result(const runtime::Order& order);

  // ---- a step (simulated_step.cpp)
  void prepare(const runtime::Order& order);
  void compute(std::size_t node, std::uint32_t micro_batch);
  void contribute(runtime::Range node);
  void exchange();
  void pass_on();
  void vote();
  void reset_step();

  // ---- between ranks (simulated_moves.cpp)
  void keep_state(const runtime::NewView& message);
  // By chunk, the owner first.
  runtime::Placement holders_left(const runtime::NewView& message);
  void gather(const runtime::Placement& holders, const std::vector<bool>& receivers, const Continuation& then);
  void move_parameters(const std::vector<bool>& residents);
  // From `holders`, by chunk, to all members or to `receivers`.
  void exchange_values(const runtime::Placement& holders, const std::vector<bool>& receivers);
  void move_state(const runtime::Placement& sources);
  void send_frame(std::uint32_t to, const Frame& frame);
  void expect(std::uint32_t from, const Frame& frame, std::function<void(const ChunkState&)> take);
  // Until all that is expected has come. Given up when the communicator is aborted.
  void await(Continuation then);
  void pump();
  void abort();

  bool holds(std::uint64_t chunk, std::uint32_t member) const;
  std::uint64_t chunks() const { return values_.size(); }
  std::uint64_t parameters() const { return digest_of(values_); }
  void check_parameters(const char* when);

  SimulatedCluster& cluster_;
  SimulatedClient client_;
  runtime::Member self_;
  At at_ = At::kIdle;
  bool has_name_ = false, is_loaded_ = false;
  int pending_ = 0;  // urgent messages that the main thread has not taken
  bool is_watched_ = false;
  std::optional<Place> place_;
  std::map<runtime::Stamp, std::map<std::uint32_t, std::deque<Frame>>> mail_;
  std::map<std::uint32_t, std::deque<Expected>> expected_;  // by member
  Continuation then_;

  std::vector<std::uint64_t> values_;               // by chunk: all parameters
  std::map<std::uint64_t, std::uint64_t> moments_;  // of the chunks that it holds
  std::uint64_t committed_ = 0;

  std::uint64_t step_ = 0;  // in hand
  bool is_prepared_ = false;
  bool is_rounded_ = false;                        // the values, as the result has them
  std::vector<std::vector<runtime::Range>> plan_;  // nodes by member
  std::map<std::uint32_t, std::pair<runtime::Range, std::vector<std::uint64_t>>> nodes_;  // kept; sums by chunk
  std::map<std::uint32_t, runtime::MicroBatchResult> results_;
  std::map<std::uint32_t, std::vector<std::uint64_t>> leaves_;  // of the node in hand
  std::map<std::uint64_t, std::map<std::uint32_t, std::pair<runtime::Range, std::uint64_t>>> arrived_;  // by chunk
  std::map<std::uint64_t, std::uint64_t> reduced_;

  TimePoint writer_free_{};
};

}  // namespace cadre::simulation
