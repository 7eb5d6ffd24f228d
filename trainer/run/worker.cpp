#include "trainer/run/worker.h"

#include <algorithm>
#include <iostream>

#include "runtime/checkpoint_store.h"
#include "runtime/error.h"
#include "runtime/failpoints.h"
#include "runtime/match.h"
#include "trainer/run/load_decoder.h"
#include "trainer/run/result.h"

namespace cadre::run {

using runtime::Failpoint;
using runtime::reach;

struct Worker::Place {
  runtime::View view;
  std::uint32_t self = 0;
  runtime::Placement placement;
  std::vector<std::uint32_t> hosts;
  std::unique_ptr<comm::Communicator> communicator;
  std::optional<StateMove> move;  // under way
  bool has_committed = false;     // and what the view took away is forgotten
  bool has_parameters = false;    // all of them, after committed_ updates
};

Worker::Worker(WorkerOptions options)
    : options_(std::move(options)), files_(options_.config.output_dir, options_.control.token), control_([this] {
        runtime::ControlClientOptions control = options_.control;
        control.on_urgent = [this](const runtime::CoordinatorMessage&) { interruption_.raise("the view changes"); };
        control.on_lost = [this] { interruption_.raise("the coordinator is lost"); };
        return control;
      }()) {}

Worker::~Worker() {
  interruption_.watch(nullptr);
}

void Worker::tell(runtime::MemberMessage message) {
  control_.send(std::move(message));
}

ViewParts Worker::parts() const {
  return {place_->view, place_->placement, place_->hosts, *place_->communicator, interruption_, place_->self};
}

void Worker::run() {
  control_.introduce(runtime::Join{options_.self, files_.leave_proof()});
  const runtime::CoordinatorMessage answer = control_.next();
  if (const auto* refused = std::get_if<runtime::Refused>(&answer)) {
    throw runtime::RunError("the coordinator refuses this rank: " + refused->reason);
  }
  const auto* welcome = std::get_if<runtime::Welcome>(&answer);
  CADRE_CHECK(welcome != nullptr, "a Join is answered by Welcome or Refused");
  take_name(*welcome);
  reach(Failpoint::kJoin, 0);
  attempt([this] { load(); });
  for (bool goes_on = true; goes_on;) {
    const runtime::CoordinatorMessage message = next_message();
    if (runtime::is_urgent(message)) interruption_.lower();
    attempt([&] { goes_on = obey(message); });
  }
  send_trace();
}

// What fails is told to the coordinator, which decides what becomes of the run.
void Worker::attempt(const std::function<void()>& work) {
  try {
    work();
  } catch (const comm::Aborted&) {  // the view has ended: the coordinator's next word says how it goes on
  } catch (const comm::CommError& error) {
    // Its own transport has failed: others go on without this process, and another may take its place.
    if (error.peer() < 0 || !place_) throw runtime::RunError(error.what());
    const runtime::View& view = place_->view;
    tell(runtime::PeerLost{view.stamp, view.members.at(static_cast<std::size_t>(error.peer())).rank});
  } catch (const runtime::UserError& error) {
    tell(runtime::Failed{.user_can_mend = true, .reason = error.what()});
  } catch (const c10::Error& error) {
    tell(runtime::Failed{.reason = error.what_without_backtrace()});
  } catch (const std::exception& error) {
    tell(runtime::Failed{.reason = error.what()});
  }
}

runtime::CoordinatorMessage Worker::next_message() {
  const Span span(trace_.get(), std::exchange(has_voted_, false) ? "vote" : "wait", committed_ + 1);
  return control_.next();
}

void Worker::begin_trace() {
  if (!files_.are_shared()) trace_scratch_.emplace(scratch_stem());
  const std::filesystem::path folder = trace_scratch_ ? trace_scratch_->path() : files_.folder() / "trace";
  trace_ = std::make_unique<Trace>(folder, options_.self.rank, options_.self.incarnation);
}

void Worker::send_trace() {
  if (!trace_scratch_ || trace_ == nullptr) return;
  const std::filesystem::path path = trace_->path();
  step_.reset();
  trace_.reset();
  try {
    files_.connect()->store(path, (files_.folder() / "trace" / path.filename()).string());
  } catch (const runtime::RunError& error) {  // the run is over, and nobody else is there to hear it
    std::cerr << "--trace: not sent to the launch node: " << error.what() << std::endl;
  }
}

std::optional<data::Prepared> Worker::prepared_elsewhere() {
  if (files_.are_shared()) return std::nullopt;
  std::string problem;
  auto prepared = fetch_prepared(files_, options_.config.dataset_prepared_path, options_.prepared_key, problem);
  if (!prepared) tell(runtime::Note{.warning = true, .text = "the data is prepared here once more: " + problem});
  return prepared;
}

void Worker::load() {
  if (options_.trace) begin_trace();
  const Span span(trace_.get(), "load", 0);
  options_.check_machine();
  state_ = load_rank_state(options_.config, options_.chat_template_date, prepared_elsewhere());
  step_ = std::make_unique<TrainStep>(*state_, trace_.get());
  transport_ = options_.make_transport(options_.self);
  writer_ =
      std::make_unique<CheckpointWriter>(files_, [this](runtime::MemberMessage message) { tell(std::move(message)); });
  if (options_.self.rank == 0) tell(runtime::Note{.text = describe_trained(*state_)});
  options_.self.endpoints = transport_->endpoints();
  rejoin_.workload = workload_of(*state_);
  rejoin_.is_ready = true;
  if (reach(Failpoint::kLoad, 0)) rejoin_.workload.known_answer ^= 1;
  introduce();
  tell(runtime::Ready{.workload = rejoin_.workload, .endpoints = options_.self.endpoints});
}

void Worker::take_name(const runtime::Welcome& welcome) {
  // It was given up meanwhile, and others have what it held.
  if (place_ && welcome.incarnation != options_.self.incarnation) forget();
  options_.self.rank = welcome.rank;
  options_.self.incarnation = welcome.incarnation;
  options_.self.shares_folder = welcome.shares_folder;
  files_.welcome(welcome);
  introduce();
}

void Worker::introduce() {
  rejoin_.self = options_.self;
  rejoin_.committed = committed_;
  rejoin_.stamp = place_ ? place_->view.stamp : runtime::Stamp{};
  control_.introduce(rejoin_);
}

bool Worker::obey(const runtime::CoordinatorMessage& message) {
  return std::visit(runtime::Match{[&](const runtime::NewView& m) {
                                     if (state_ == nullptr) return m.order.kind != runtime::Order::Kind::kEnd;
                                     // To a rank that has connected anew it is said again.
                                     if (place_ && place_->view.stamp == m.view.stamp) return true;
                                     install(m);
                                     return perform(m.order);
                                   },
                                   [&](const runtime::Commit& m) {
                                     commit(m);
                                     return perform(m.next);
                                   },
                                   [&](const runtime::Proceed& m) {
                                     // What was told before the view broke: a new one follows.
                                     const bool is_end = m.next.kind == runtime::Order::Kind::kEnd;
                                     return is_end || (place_ && place_->has_parameters) ? perform(m.next) : true;
                                   },
                                   [&](const runtime::Fence& m) {
                                     report(m);
                                     return true;
                                   },
                                   [&](const runtime::Refused& m) -> bool {
                                     throw runtime::RunError("the coordinator puts this rank out: " + m.reason);
                                   },
                                   [&](const runtime::Welcome& m) {
                                     take_name(m);
                                     return true;
                                   },
                                   [](const runtime::FileAnswer&) { return true; }},
                    message);
}

void Worker::install(const runtime::NewView& message) {
  interruption_.watch(nullptr);
  const bool is_new = place_ == nullptr;
  place_.reset();
  const auto self = message.view.index_of(options_.self.rank);
  CADRE_CHECK(self.has_value(), "a view without this rank");
  auto place = std::make_unique<Place>();
  place->view = message.view;
  place->self = static_cast<std::uint32_t>(*self);
  place->placement = runtime::place(message.view, state_->optimizer.chunks().count(), message.state_copies);
  place->hosts = runtime::host_numbers(message.view);
  place->communicator = transport_->communicator(message.view, options_.self.rank);
  place_ = std::move(place);
  if (is_new && !message.load) {
    // The others send it all.
    committed_ = message.order.step;
    is_at_start_ = false;
  }
  introduce();
  interruption_.watch(place_->communicator.get());

  if (!message.load) return go_on(message);
  state_->optimizer.hold(chunks_here());
  step_->reset();
  if (message.checkpoint.empty()) {
    start_over();
  } else {
    is_at_start_ = false;
    const CheckpointHere checkpoint(files_, message.checkpoint, [this] { interruption_.check(); });
    load_state(checkpoint.folder(), checkpoint.manifest(), state_->decoder->parameters(), state_->optimizer);
  }
  committed_ = message.order.step;
  place_->has_parameters = true;
  introduce();
}

std::vector<std::uint64_t> Worker::chunks_here() const {
  std::vector<std::uint64_t> chunks;
  for (std::uint64_t chunk = 0; chunk < place_->placement.holders.size(); ++chunk) {
    const auto& holders = place_->placement.holders[chunk];
    if (std::find(holders.begin(), holders.end(), place_->self) != holders.end()) chunks.push_back(chunk);
  }
  return chunks;
}

// The members hold all state between them. First they complete their parameters, since the view before may have ended
// while these were gathered. All else leaves while they compute.
void Worker::go_on(const runtime::NewView& message) {
  state_->optimizer.hold_also(chunks_here());
  reach(Failpoint::kMove, committed_);
  const std::uint64_t chunks = state_->optimizer.chunks().count();
  const runtime::View& before = message.resident_in;
  const Residency residency{.view = before, .placement = runtime::place(before, chunks, message.state_copies)};
  const runtime::Placement sources = holders_left(residency, place_->view);
  std::vector<bool> residents;
  for (const runtime::Member& member : place_->view.members) residents.push_back(before.has(member));
  const bool is_resident = residents[place_->self];
  if (is_resident) gather(sources, residents);
  place_->move.emplace(sources, residents, parts(), state_->optimizer);
  if (is_resident) return;
  const Span span(trace_.get(), "receive", committed_);
  place_->move->finish_parameters();
  place_->has_parameters = true;
}

void Worker::finish_move() {
  if (!place_->move) return;
  const Span span(trace_.get(), "move", committed_);
  place_->move->finish();
  place_->move.reset();
}

void Worker::gather(const runtime::Placement& holders, const std::vector<bool>& receivers) {
  place_->has_parameters = false;
  step_->gather(parts(), holders, receivers);
  place_->has_parameters = true;
}

void Worker::forget() {
  interruption_.watch(nullptr);
  place_.reset();
  committed_ = 0;
  state_->optimizer.hold({});
  step_->reset();
}

void Worker::commit(const runtime::Commit& message) {
  // A new coordinator says again what the one before it said last.
  if (message.step + 1 == committed_) return;
  reach(Failpoint::kCommitted, message.step);
  is_at_start_ = false;
  step_->apply(message);
  committed_ = message.step + 1;
  introduce();
  // All holders of the view have voted: what it took away may go now.
  if (!std::exchange(place_->has_committed, true)) state_->optimizer.keep_only(chunks_here());
  gather(place_->placement);
}

// The seeded start is a function of configuration and base model; it is loaded anew.
void Worker::start_over() {
  if (!is_at_start_) {
    const std::unique_ptr<model::Decoder> start = load_decoder(state_->base, state_->config);
    state_->decoder->parameters().values().copy_(start->parameters().values());
  }
  is_at_start_ = true;
}

bool Worker::perform(const runtime::Order& order) {
  if (order.snapshot) take_snapshot(order);
  switch (order.kind) {
    case runtime::Order::Kind::kTrain:
      train(order);
      return true;
    case runtime::Order::Kind::kEvaluate:
      evaluate(order);
      return true;
    case runtime::Order::Kind::kWriteResult:
      if (place_->self == place_->view.writer()) write_the_result(order);
      return true;
    case runtime::Order::Kind::kWait:
      return true;
    case runtime::Order::Kind::kEnd:
      return false;
  }
  return true;
}

void Worker::train(const runtime::Order& order) {
  step_->prepare(order, parts(), [this](runtime::MemberMessage message) { tell(std::move(message)); });
  finish_move();
  runtime::Prepared vote = step_->vote(order, parts());
  reach(Failpoint::kPrepared, order.step);
  tell(std::move(vote));
  has_voted_ = true;
}

void Worker::evaluate(const runtime::Order& order) {
  const Span span(trace_.get(), "evaluate", order.step);
  const auto units = static_cast<std::uint32_t>(state_->evaluation.size());
  const runtime::Range mine = runtime::share_out(units, place_->view.size())[place_->self];
  runtime::Evaluated answer{.stamp = place_->view.stamp, .step = order.step};
  for (std::uint32_t unit = mine.begin; unit < mine.end; ++unit) {
    interruption_.check();
    reach(Failpoint::kEvaluate, order.step);
    answer.units.push_back(
        evaluate_unit(*state_->decoder, state_->prepared.validation, state_->evaluation[unit], unit));
    progressed();
  }
  answer.parameters_digest = step_->parameters_digest(order.step);
  tell(std::move(answer));
}

void Worker::progressed() {
  const auto now = std::chrono::steady_clock::now();
  if (now - told_progress_ < std::chrono::seconds(1)) return;
  told_progress_ = now;
  tell(runtime::Progress{.stamp = place_->view.stamp, .step = committed_});
}

void Worker::take_snapshot(const runtime::Order& order) {
  const std::uint64_t step = order.step;
  const Span span(trace_.get(), "snapshot", step);
  const std::filesystem::path folder =
      runtime::staging_folder(files_.folder() / "checkpoints", step, place_->view.stamp);
  const std::vector<std::uint64_t> owned = place_->placement.chunks_of(place_->self, 0);
  if (owned.empty()) return;
  finish_move();
  writer_->write({.folder = folder,
                  .name = shard_name(place_->view.stamp, options_.self.rank, options_.self.incarnation),
                  .stamp = place_->view.stamp,
                  .step = step,
                  .snapshot = snapshot_of(state_->optimizer, owned)},
                 order.must_save, interruption_);
}

void Worker::write_the_result(const runtime::Order& order) {
  finish_move();  // what is sent stays as it is until then
  model::Decoder& decoder = *state_->decoder;
  if (order.checkpoint == runtime::kSeededStart) {
    start_over();
  } else if (!order.checkpoint.empty()) {
    const CheckpointHere checkpoint(files_, order.checkpoint, [this] { interruption_.check(); });
    load_parameters(checkpoint.folder(), checkpoint.manifest(), decoder.parameters());
  }
  is_at_start_ = false;
  round_to_saved_dtype(state_->base, state_->config, decoder);
  runtime::ResultWritten answer{.stamp = place_->view.stamp, .of = order.reason};
  std::optional<runtime::ScratchFolder> scratch;
  if (!files_.are_shared()) scratch.emplace(scratch_stem());
  const std::filesystem::path folder = scratch ? scratch->path() : files_.folder();
  const auto on_progress = [this] { progressed(); };
  answer.sha256 = write_result(folder, state_->base, state_->config, decoder, on_progress);
  reach(Failpoint::kEnd, order.step);
  verify_result(folder, state_->base, state_->held_rows(), decoder, on_progress);
  if (scratch) {
    const auto check = [this] { interruption_.check(); };
    for (const auto& [name, hash] : answer.sha256) {
      files_.connected(
          [&](runtime::FileClient& client) { client.store(folder / name, (files_.folder() / name).string(), check); },
          check);
      progressed();
    }
  }
  tell(std::move(answer));
}

void Worker::report(const runtime::Fence&) {
  interruption_.watch(nullptr);
  runtime::Report answer;
  answer.committed = committed_;
  if (place_) answer.stamp = place_->view.stamp;
  if (step_ && step_->step() == committed_) {
    answer.step = step_->step();
    answer.held = step_->held();
    answer.results = step_->results();
  }
  reach(Failpoint::kRecovery, committed_);
  tell(std::move(answer));
}

}  // namespace cadre::run
