// The life of a rank: joins, loads, and does what the coordinator orders until it says that the run is at its end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "runtime/control_client.h"
#include "runtime/messages.h"
#include "runtime/scratch_folder.h"
#include "trainer/run/checkpoint_writer.h"
#include "trainer/run/interruption.h"
#include "trainer/run/move_state.h"
#include "trainer/run/rank_state.h"
#include "trainer/run/run_files.h"
#include "trainer/run/trace.h"
#include "trainer/run/train_step.h"

namespace cadre::run {

struct WorkerOptions {
  const config::Config& config;  // outlives the worker
  std::string chat_template_date = {};
  std::string prepared_key = {};                // of the prepared data in the launch node's cache
  bool trace = false;                           // into output_dir/trace
  runtime::Member self = {};                    // as the launcher knows it; endpoints empty
  std::function<void()> check_machine = [] {};  // before anything is loaded. UserError: it cannot do what the run needs
  runtime::ControlClientOptions control = {};
  // Called after the coordinator has let this rank in.
  std::function<std::unique_ptr<comm::Transport>(const runtime::Member& self)> make_transport = {};
};

// Main thread only: it owns the tensors.
class Worker {
 public:
  explicit Worker(WorkerOptions options);
  ~Worker();

  // Returns when the coordinator has ended the run. What is wrong with configuration, data or model is told to the
  // coordinator, which ends the run with it. runtime::RunError when the coordinator refuses this rank or is lost.
  void run();

 private:
  // What belongs to the view.
  struct Place;

  void attempt(const std::function<void()>& work);
  void load();
  void begin_trace();
  // Of a rank that does not share the run's folder, to the launch node.
  void send_trace();
  std::optional<data::Prepared> prepared_elsewhere();
  void take_name(const runtime::Welcome& welcome);
  // Should the connection be lost, the next coordinator hears this.
  void introduce();
  runtime::CoordinatorMessage next_message();
  // False: the run is at its end.
  bool obey(const runtime::CoordinatorMessage& message);
  void install(const runtime::NewView& message);
  void go_on(const runtime::NewView& message);
  void gather(const runtime::Placement& holders, const std::vector<bool>& receivers = {});
  // What comes in the background is there.
  void finish_move();
  // What an earlier incarnation of this rank had.
  void forget();
  void commit(const runtime::Commit& message);
  std::vector<std::uint64_t> chunks_here() const;
  bool perform(const runtime::Order& order);
  void train(const runtime::Order& order);
  void evaluate(const runtime::Order& order);
  void start_over();
  void take_snapshot(const runtime::Order& order);
  void write_the_result(const runtime::Order& order);
  // Work gets on that gives nothing to tell yet; now and then the coordinator hears it.
  void progressed();
  void report(const runtime::Fence& fence);
  ViewParts parts() const;
  void tell(runtime::MemberMessage message);

  WorkerOptions options_;
  RunFiles files_;
  Interruption interruption_;
  std::unique_ptr<RankState> state_;
  std::unique_ptr<comm::Transport> transport_;
  std::optional<runtime::ScratchFolder> trace_scratch_;
  std::unique_ptr<Trace> trace_;
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<Place> place_;
  std::uint64_t committed_ = 0;  // updates applied and gathered
  bool is_at_start_ = true;      // the parameters are the seeded ones
  runtime::Rejoin rejoin_;
  bool has_voted_ = false;  // and waits for the commit
  std::chrono::steady_clock::time_point told_progress_ = {};
  runtime::ControlClient control_;
  std::unique_ptr<CheckpointWriter> writer_;  // tells control_ what it wrote, so it goes first
};

}  // namespace cadre::run
