#include "tests/unit/runtime/simulation/simulated_rank.h"

#include <algorithm>

#include "runtime/chunks.h"
#include "runtime/error.h"
#include "runtime/match.h"
#include "tests/unit/runtime/simulation/simulated_cluster.h"

namespace cadre::simulation {

using namespace std::chrono_literals;
using runtime::Order;

SimulatedRank::SimulatedRank(SimulatedCluster& cluster, runtime::Rank number, std::int64_t pid)
    : RankEnd(cluster.clock()),
      cluster_(cluster),
      client_(*this, cluster.clock(),
              {.connect = [this] { return cluster_.connect(*this); },
               .on_urgent = [this] { raise(); },
               .on_message = [this] { look(); },
               .on_lost = [this] { end(); }}),
      self_{.rank = number, .host = cluster.host_name_of(number), .island = number, .pid = pid} {
  for (std::uint64_t chunk = 0; chunk < cluster.chunks(); ++chunk) values_.push_back(seeded_chunk(chunk).values);
}

void SimulatedRank::start() {
  client_.introduce(runtime::Join{self_});
  client_.begin();
}

std::string SimulatedRank::describe() const {
  constexpr const char* kAt[] = {"idle", "busy", "waiting", "ended"};
  return runtime::say("rank ", self_.rank, ".", self_.incarnation, " (pid ", self_.pid,
                      "): ", kAt[static_cast<int>(at_)], is_alive() ? "" : ", dead", is_stopped() ? ", stopped" : "",
                      is_loaded_ ? "" : ", loads", client_.link() ? "" : ", not connected", ", view ",
                      place_ ? place_->view.stamp.view : 0, ", committed ", committed_, ", step ", step_, " in hand",
                      is_prepared_ ? ", prepared" : "");
}

// ---- the main thread

void SimulatedRank::received(const LinkPointer& link, const runtime::CoordinatorMessage& message) {
  client_.received(link, message);
}

void SimulatedRank::look() {
  while (at_ == At::kIdle) {
    const std::optional<runtime::CoordinatorMessage> message = client_.next();
    if (!message) return;
    if (runtime::is_urgent(*message)) --pending_;
    obey(*message);
  }
}

void SimulatedRank::busy(Duration lasts, Continuation then) {
  at_ = At::kBusy;
  after(lasts, [this, then = std::move(then)] {
    if (at_ == At::kEnded) return;
    idle();
    then();
    look();
  });
}

void SimulatedRank::end() {
  if (at_ == At::kEnded) return;
  at_ = At::kEnded;
  client_.finish();
  cluster_.rank_ended(*this);
}

// The control thread: what is aborted here is never what the main thread began because of this message.
void SimulatedRank::raise() {
  ++pending_;
  if (is_watched_) abort();
}

void SimulatedRank::abort() {
  place_->is_aborted = true;
  if (at_ != At::kWaiting) return;
  expected_.clear();
  then_ = {};
  idle();
}

void SimulatedRank::lose_peer(std::int64_t pid) {
  if (!place_ || at_ == At::kEnded) return;
  const auto& members = place_->view.members;
  const bool is_member =
      std::any_of(members.begin(), members.end(), [&](const runtime::Member& member) { return member.pid == pid; });
  if (!is_member) return;
  abort();
  look();
}

void SimulatedRank::obey(const runtime::CoordinatorMessage& message) {
  std::visit(runtime::Match{[&](const runtime::Welcome& m) { take_name(m); }, [&](const runtime::Refused&) { end(); },
                            [&](const runtime::Fence&) { report(); },
                            [&](const runtime::NewView& m) {
                              if (is_loaded_) {
                                // To a rank that has connected anew it is said again.
                                if (!place_ || place_->view.stamp != m.view.stamp) install(m);
                              } else if (m.order.kind == Order::Kind::kEnd) {
                                end();
                              }
                            },
                            [&](const runtime::Commit& m) { commit(m); },
                            [&](const runtime::Proceed& m) {
                              if (m.next.kind == Order::Kind::kEnd || (place_ && place_->has_parameters)) {
                                perform(m.next);
                              }
                            },
                            [](const runtime::FileAnswer&) {}},
             message);
}

void SimulatedRank::take_name(const runtime::Welcome& welcome) {
  if (place_ && welcome.incarnation != self_.incarnation) {
    is_watched_ = false;
    place_.reset();
    moments_.clear();
    reset_step();
  }
  self_.rank = welcome.rank;
  self_.incarnation = welcome.incarnation;
  introduce();
  if (std::exchange(has_name_, true)) return;
  busy(cluster_.time_to_load(), [this] {
    is_loaded_ = true;
    self_.endpoints = {{.address = "127.0.0.1", .port = static_cast<std::uint16_t>(self_.rank + 1)}};
    introduce();
    client_.send(runtime::Ready{cluster_.workload(), self_.endpoints});
  });
}

void SimulatedRank::introduce() {
  runtime::Rejoin rejoin{.self = self_, .committed = committed_, .is_ready = is_loaded_};
  if (place_) rejoin.stamp = place_->view.stamp;
  if (is_loaded_) rejoin.workload = cluster_.workload();
  client_.introduce(rejoin);
}

bool SimulatedRank::holds(std::uint64_t chunk, std::uint32_t member) const {
  const auto& holders = place_->placement.holders[chunk];
  return std::find(holders.begin(), holders.end(), member) != holders.end();
}

void SimulatedRank::check_parameters(const char* when) {
  cluster_.require(parameters() == cluster_.trajectory().points.at(committed_).parameters,
                   [&] { return runtime::say(describe(), ": other parameters when ", when); });
}

void SimulatedRank::install(const runtime::NewView& message) {
  const auto self = message.view.index_of(self_.rank);
  cluster_.require(self && message.view.members[*self].pid == self_.pid,
                   [&] { return describe() + ": a view without this rank"; });
  if (!self) return;
  if (!place_ && !message.load) {
    committed_ = message.order.step;
    is_rounded_ = false;
    // Nothing but what the others send is right.
    for (std::uint64_t& value : values_) value = 0;
  }
  place_ = Place{.view = message.view,
                 .self = static_cast<std::uint32_t>(*self),
                 .placement = runtime::place(message.view, chunks(), message.state_copies)};
  mail_.erase(mail_.begin(), mail_.lower_bound(message.view.stamp));
  expected_.clear();
  introduce();
  is_watched_ = true;
  place_->is_aborted = pending_ > 0;
  if (message.load) return load(message);
  for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
    if (holds(chunk, place_->self)) moments_.emplace(chunk, 0);
  }
  keep_state(message);
}

void SimulatedRank::load(const runtime::NewView& message) {
  busy(cluster_.time_to_load(), [this, message] {
    moments_.clear();
    reset_step();
    const std::map<std::uint64_t, ChunkState>* saved = nullptr;
    if (!message.checkpoint.empty()) {
      saved = cluster_.checkpoint_in(message.checkpoint);
      // One that was stopped until the run was over finds what it was told to load gone.
      cluster_.require(saved != nullptr || cluster_.has_finished(),
                       [&] { return describe() + ": no checkpoint in " + message.checkpoint; });
      if (saved == nullptr) return;
    }
    for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) {
      const ChunkState state = saved != nullptr ? saved->at(chunk) : seeded_chunk(chunk);
      values_[chunk] = state.values;
      if (holds(chunk, place_->self)) moments_[chunk] = state.moment;
    }
    is_rounded_ = false;
    committed_ = message.order.step;
    check_parameters("loading");
    place_->has_parameters = true;
    introduce();
    perform(message.order);
  });
}

void SimulatedRank::commit(const runtime::Commit& message) {
  // A new coordinator says again what the one before it said last.
  if (message.step + 1 == committed_) return perform(message.next);
  cluster_.require(message.step == step_ && message.step == committed_ && is_prepared_,
                   [&] { return runtime::say(describe(), ": is told to commit step ", message.step); });
  if (!is_prepared_) return;
  for (const auto& [chunk, sum] : reduced_) {
    ChunkState state{values_[chunk], moments_.at(chunk)};
    apply(sum, step_, message.clip_scale, state);
    values_[chunk] = state.values;
    moments_[chunk] = state.moment;
    cluster_.require(state == cluster_.trajectory().points.at(step_ + 1).chunks[chunk], [&] {
      return runtime::say(describe(), ": chunk ", chunk, " is another than an undisturbed run's after step ",
                          step_ + 1);
    });
  }
  reset_step();
  committed_ = message.step + 1;
  introduce();
  if (!std::exchange(place_->has_committed, true)) {
    std::erase_if(moments_, [&](const auto& held) { return !holds(held.first, place_->self); });
  }
  gather(place_->placement, {}, [this, next = message.next] { perform(next); });
}

void SimulatedRank::report() {
  is_watched_ = false;
  runtime::Report answer{};
  answer.committed = committed_;
  if (place_) answer.stamp = place_->view.stamp;
  if (step_ == committed_) {
    answer.step = step_;
    for (const auto& [begin, node] : nodes_) {
      answer.held.push_back(node.first);
      for (std::uint32_t m = node.first.begin; m < node.first.end; ++m) answer.results.push_back(results_.at(m));
    }
  }
  client_.send(answer);
}

void SimulatedRank::perform(const Order& order) {
  if (order.kind == Order::Kind::kEnd) return end();
  cluster_.require(order.step == committed_,
                   [&] { return runtime::say(describe(), ": an order after step ", order.step); });
  if (order.snapshot) {
    Order rest = order;
    rest.snapshot = false;
    return take_snapshot(order, [this, rest] { perform(rest); });
  }
  switch (order.kind) {
    case Order::Kind::kTrain:
      return prepare(order);
    case Order::Kind::kEvaluate: {
      const runtime::Range mine =
          runtime::share_out(cluster_.workload().evaluation_units, place_->view.size())[place_->self];
      return evaluate(order, mine.begin, {.stamp = place_->view.stamp, .step = order.step});
    }
    case Order::Kind::kWriteResult:
      if (place_->self == 0) write_the_result(order);
      return;
    case Order::Kind::kWait:
    case Order::Kind::kEnd:
      return;
  }
}

void SimulatedRank::evaluate(const Order& order, std::uint32_t unit, runtime::Evaluated answer) {
  const runtime::Range mine =
      runtime::share_out(cluster_.workload().evaluation_units, place_->view.size())[place_->self];
  if (unit == mine.end) {
    client_.send(answer);
    return;
  }
  if (pending_ > 0) return idle();
  busy(2ms, [this, order, unit, answer]() mutable {
    answer.units.push_back({unit, unit_loss(unit, parameters()), kTrainedTokens});
    evaluate(order, unit + 1, std::move(answer));
  });
}

// The writer has room for one job: the main thread waits until the one before is done.
void SimulatedRank::take_snapshot(const Order& order, Continuation then) {
  const std::vector<std::uint64_t> owned = place_->placement.chunks_of(place_->self, 0);
  if (owned.empty()) return then();
  // What moves in the background must be there.
  if (!expected_.empty()) return await([this, order, then] { take_snapshot(order, then); });
  if (writer_free_ > clock_.now()) {
    return busy(std::chrono::duration_cast<Duration>(writer_free_ - clock_.now()),
                [this, order, then] { take_snapshot(order, then); });
  }
  StateShard shard;
  std::uint64_t digest = order.step;
  for (const std::uint64_t chunk : owned) {
    shard.chunks[chunk] = {values_[chunk], moments_.at(chunk)};
    digest = digest_of(chunk, digest, shard.chunks[chunk]);
    cluster_.require(shard.chunks[chunk] == cluster_.trajectory().points.at(order.step).chunks[chunk], [&] {
      return runtime::say(describe(), ": a snapshot of step ", order.step, " with another chunk ", chunk);
    });
  }
  const std::string hash = std::to_string(digest);
  shard.sha256 = std::string(64 - std::min<std::size_t>(64, hash.size()), '0') + hash;
  const runtime::Stamp stamp = place_->view.stamp;
  const std::string name = runtime::say("state-generation-", stamp.generation, "-view-", stamp.view, "-rank-",
                                        self_.rank, ".", self_.incarnation, ".safetensors");
  const Duration lasts = cluster_.time_to_write();
  writer_free_ = clock_.now() + lasts;
  const SimulatedDisk::Staging folder{order.step, {.generation = stamp.generation, .view = stamp.view}};
  after(lasts, [this, stamp, folder, name, step = order.step, shard = std::move(shard)] {
    if (at_ == At::kEnded) return;
    if (const std::string problem = cluster_.write_shard(folder, name, shard); !problem.empty()) {
      client_.send(runtime::ShardFailed{stamp, step, problem});
    } else {
      client_.send(runtime::ShardWritten{stamp, step, name, shard.sha256, 100});
    }
  });
  then();
}

void SimulatedRank::write_the_result(const Order& order) {
  busy(cluster_.time_to_write(), [this, order] {
    std::vector<std::uint64_t> result = values_;
    if (order.checkpoint == runtime::kSeededStart) {
      for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) result[chunk] = seeded_chunk(chunk).values;
    } else if (!order.checkpoint.empty()) {
      const auto* saved = cluster_.checkpoint_in(order.checkpoint);
      if (saved == nullptr) return client_.send(runtime::Failed{.reason = order.checkpoint + " is not there"});
      for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk) result[chunk] = saved->at(chunk).values;
    } else if (is_rounded_) {  // asked again
      for (std::uint64_t& value : result) --value;
    } else {
      check_parameters("writing the result");
    }
    // What is written is rounded: nobody may train on from it.
    if (!std::exchange(is_rounded_, true)) {
      for (std::uint64_t& value : values_) ++value;
    }
    client_.send(runtime::ResultWritten{
        place_->view.stamp, {{"adapter_model.safetensors", std::to_string(digest_of(result))}}, order.reason});
  });
}

}  // namespace cadre::simulation
