#include "tests/unit/runtime/simulated_world.h"

#include <gtest/gtest.h>

#include "runtime/chunks.h"
#include "runtime/step_votes.h"

namespace cadre::runtime {

Workload workload_of(std::uint64_t steps, std::uint32_t micro_batches, std::uint64_t chunks) {
  return {.total_steps = steps,
          .epochs = {{.steps = steps, .micro_batches = micro_batches, .last_micro_batches = micro_batches}},
          .evaluation_units = 5,
          .elements = chunks * kChunkElements - 7,
          .digest = "a digest"};
}

SimulatedWorld::SimulatedWorld(CoordinatorOptions options, Workload workload, std::uint64_t seed)
    : options_(options),
      workload_(std::move(workload)),
      coordinator_(std::in_place, std::move(options), TimePoint{}),
      random_(seed) {
  expected_step_ = options_.start.folder.empty() ? 0 : options_.start.manifest.step;
  checkpoints = options_.published;
  for (const std::uint64_t step : checkpoints) saved_parameters_[step] = expected_parameters(step);
}

Connection SimulatedWorld::start_rank(Rank number, bool shares_folder) {
  const Connection connection = ++last_connection_;
  SimulatedRank& rank = ranks_[connection];
  rank.connection = connection;
  rank.number = number;
  Member self{
      .rank = number, .host = "host-" + std::to_string(connection), .pid = kPid, .shares_folder = shares_folder};
  rank.outbox.push_back(Join{std::move(self), ""});
  return connection;
}

SimulatedRank* SimulatedWorld::rank(Rank number) {
  for (auto& [connection, rank] : ranks_) {
    if (rank.number == number && rank.alive) return &rank;
  }
  return nullptr;
}

std::size_t SimulatedWorld::alive() const {
  std::size_t count = 0;
  for (const auto& [connection, rank] : ranks_) count += rank.alive;
  return count;
}

std::uint64_t SimulatedWorld::expected_parameters(std::uint64_t steps) const {
  std::uint64_t parameters = kSeededParameters;
  for (std::uint64_t step = 0; step < steps; ++step) {
    double squares = 0;
    if (nonfinite.count(step) != 0) continue;
    for (std::uint64_t c = 0; c < ChunkSpace{workload_.elements}.count(); ++c) squares += squares_of(step, c);
    parameters = parameters_after(parameters, step, clip_scale_of(std::sqrt(squares), options_.policy.max_grad_norm));
  }
  return parameters;
}

bool SimulatedWorld::deliver_one() {
  if (finished) return false;
  std::vector<SimulatedRank*> talking;
  for (auto& [connection, rank] : ranks_) {
    if (rank.alive && !rank.outbox.empty() && silent.count(rank.number) == 0) talking.push_back(&rank);
  }
  // The shell's answer comes at any time too.
  const bool publishes = publishes_at_once && !to_publish_.empty();
  const std::size_t choices = talking.size() + (publishes || is_asked_for_checkpoint_ ? 1 : 0);
  if (choices == 0) return false;
  const std::size_t chosen = random_() % choices;
  if (chosen == talking.size()) {
    if (publishes) {
      publish_pending();
    } else {
      is_asked_for_checkpoint_ = false;
      apply(coordinator_->on_checkpoint_found(find_checkpoint(), now_));
    }
    return true;
  }
  SimulatedRank& rank = *talking[chosen];
  MemberMessage message = std::move(rank.outbox.front());
  rank.outbox.pop_front();
  apply(coordinator_->on_message(rank.connection, std::move(message), now_));
  return true;
}

void SimulatedWorld::run() {
  run([](SimulatedWorld&) {});
}

void SimulatedWorld::run(const std::function<void(SimulatedWorld&)>& hook) {
  do hook(*this);
  while (deliver_one());
}

void SimulatedWorld::publish_pending() {
  const std::uint64_t step = to_publish_.front();
  to_publish_.pop_front();
  std::string problem = publishing ? publishing(step) : "";
  if (const auto given_up = given_up_.extract(step); !given_up.empty()) problem = given_up.mapped();
  if (problem.empty()) {
    EXPECT_TRUE(damaged.erase(step) > 0 || checkpoints.count(step) == 0) << "two checkpoints of step " << step;
    checkpoints.insert(step);
  }
  apply(coordinator_->on_checkpoint_published(step, problem, now_));
}

void SimulatedWorld::restart_coordinator() {
  ++restarts;
  for (const std::uint64_t step : std::exchange(to_publish_, {})) {
    if (random_() % 2 == 0 && given_up_.count(step) == 0) checkpoints.insert(step);
  }
  given_up_.clear();
  if (forgets_commits_after) {
    history_.committed = *forgets_commits_after;
    history_.commits.erase(history_.commits.upper_bound(*forgets_commits_after), history_.commits.end());
  }
  CoordinatorOptions options = options_;
  options.term += restarts;
  options.last_view = history_.view;
  options.last_generation = history_.generation;
  options.incarnations = history_.incarnations;
  options.awaited = history_.members;
  options.end = history_.end;
  options.before = history_;
  options.published = checkpoints;
  options.start = find_checkpoint();
  is_asked_for_checkpoint_ = false;
  expected_step_ = options.start.folder.empty() ? 0 : options.start.manifest.step;
  coordinator_.reset();
  options.numbers = numbers_;
  coordinator_.emplace(std::move(options), now_);
  if (!drained_.empty()) apply(coordinator_->on_drain(drained_, "b", now_));
  for (auto& [connection, rank] : std::exchange(ranks_, {})) {
    if (rank.alive && !rank.ended) connect_anew(std::move(rank));
  }
}

void SimulatedWorld::drain(const std::set<Rank>& leaving) {
  drained_.insert(leaving.begin(), leaving.end());
  apply(coordinator_->on_drain(leaving, "b", now_));
}

void SimulatedWorld::invite(const std::set<Rank>& coming, std::size_t numbers) {
  numbers_ = numbers;
  for (const Rank rank : coming) drained_.erase(rank);
  apply(coordinator_->on_invited(coming, numbers, "b", now_));
}

CoordinatorOptions::Start SimulatedWorld::find_checkpoint() const {
  CoordinatorOptions::Start found = options_.start;
  for (const Manifest& manifest : manifests) {
    const bool whole = checkpoints.count(manifest.step) != 0 && damaged.count(manifest.step) == 0;
    if (!whole || manifest.step < found.manifest.step) continue;
    found = {"/run/checkpoints/" + checkpoint_name(manifest.step), manifest};
  }
  return found;
}

void SimulatedWorld::connect_anew(SimulatedRank rank) {
  const Connection anew = ++last_connection_;
  rank.connection = anew;
  while (!rank.outbox.empty() && random_() % 3 != 0) rank.outbox.pop_front();
  std::erase_if(rank.outbox, [](const MemberMessage& message) {
    return std::holds_alternative<Join>(message) || std::holds_alternative<Rejoin>(message);
  });
  const Member self{
      .rank = rank.number, .incarnation = rank.incarnation, .host = "host-" + std::to_string(anew), .pid = kPid};
  if (rank.incarnation == 0) {
    rank.outbox = {Join{self}};
  } else {
    rank.outbox.push_front(Rejoin{self, rank.stamp, rank.done, true, workload_});
  }
  ranks_.emplace(anew, std::move(rank));
}

void SimulatedWorld::reconnect(Rank number, bool seen_first) {
  SimulatedRank& before = *rank(number);
  connect_anew(before);
  before.alive = false;
  if (seen_first) apply(coordinator_->on_closed(before.connection, "the connection was closed", now_));
}

void SimulatedWorld::lose_relay(const std::set<Rank>& numbers) {
  for (const Rank number : numbers) {
    SimulatedRank* before = rank(number);
    ASSERT_NE(before, nullptr) << number;
    connect_anew(*before);
    before->alive = false;
    // Its new connection may be heard before the end of the relay's.
    if (random_() % 3 != 0) apply(coordinator_->on_detached(before->connection, now_));
  }
}

void SimulatedWorld::kill(Rank number) {
  SimulatedRank* rank = this->rank(number);
  ASSERT_NE(rank, nullptr) << number;
  rank->alive = false;
  apply(coordinator_->on_closed(rank->connection, "the connection was closed", now_));
}

void SimulatedWorld::send(Rank number, MemberMessage message) {
  apply(coordinator_->on_message(rank(number)->connection, std::move(message), now_));
}

// Every rank that is not silent sends heartbeats.
void SimulatedWorld::pass(std::chrono::milliseconds time) {
  const TimePoint end = now_ + time;
  while (now_ < end && !finished) {
    now_ += std::chrono::milliseconds(500);
    for (auto& [connection, rank] : ranks_) {
      if (rank.alive && silent.count(rank.number) == 0 && !finished) {
        apply(coordinator_->on_message(connection, Heartbeat{}, now_));
      }
    }
    apply(coordinator_->on_tick(now_));
  }
}

void SimulatedWorld::check(const Committed& committed) {
  EXPECT_FALSE(finished.has_value()) << "a commit after the end";
  EXPECT_TRUE(committed_.emplace(committed.stamp.generation, committed.step).second) << "step " << committed.step;
  EXPECT_EQ(committed.step, expected_step_ + 1);
  expected_step_ = committed.step;
  EXPECT_EQ(journaled_commit_, committed.step) << "told before it was journaled";
  ASSERT_EQ(committed.micro_batches.size(), workload_.micro_batches_of(committed.step - 1));
  double loss = 0;
  for (std::uint32_t m = 0; m < committed.micro_batches.size(); ++m) {
    EXPECT_EQ(committed.micro_batches[m].micro_batch, m);
    EXPECT_EQ(committed.micro_batches[m].samples, (std::vector<std::uint32_t>{m, m + 1000}));
    EXPECT_LE(committed.micro_batches[m].view, committed.stamp.view);
    loss += loss_of(committed.step - 1, m);
  }
  EXPECT_EQ(committed.loss, loss / (10.0 * static_cast<double>(committed.micro_batches.size())));
}

void SimulatedWorld::apply(Effects&& effects) {
  for (Effect& effect : effects) {
    if (dies_in && (*dies_in)-- == 0) {
      dies_in.reset();
      return restart_coordinator();
    }
    EXPECT_FALSE(finished.has_value()) << "an effect after the end";
    if (auto* tell = std::get_if<Tell>(&effect)) {
      EXPECT_FALSE(tell->to.empty());
      if (const auto* commit = std::get_if<Commit>(&tell->message)) {
        EXPECT_EQ(journaled_commit_, commit->step + 1);
      }
      for (const Connection to : tell->to) {
        ASSERT_EQ(ranks_.count(to), 1U);
        if (ranks_.at(to).alive) receive(ranks_.at(to), tell->message);
      }
    } else if (auto* close = std::get_if<Close>(&effect)) {
      ranks_.at(close->connection).alive = false;
    } else if (auto* journal = std::get_if<Journal>(&effect)) {
      const std::string event(journal->entry.at("event").as_string());
      const auto step = journal->entry.at("step").to_number<std::uint64_t>();
      EXPECT_TRUE(journal->entry.at("reason").is_string());
      if (event == "commit") journaled_commit_ = step;
      if (event == "view") loads += journal->entry.at("load").as_bool();
      history_.take(journal->entry);
      // There are as many joins as ranks.
      if (journal->for_people && event != "joined") events.push_back(event + " " + std::to_string(step));
    } else if (auto* publish = std::get_if<Publish>(&effect)) {
      EXPECT_EQ(publish->manifest.run_id, "a run");
      EXPECT_FALSE(publish->shards.empty());
      manifests.push_back(publish->manifest);
      to_publish_.push_back(publish->manifest.step);
    } else if (auto* given_up = std::get_if<GiveUpCheckpoint>(&effect)) {
      if (!given_up->problem.empty()) {
        to_publish_.push_back(given_up->step);
        given_up_[given_up->step] = given_up->problem;
      }
    } else if (std::holds_alternative<FindCheckpoint>(effect)) {
      is_asked_for_checkpoint_ = true;
    } else if (auto* remove = std::get_if<RemoveCheckpoint>(&effect)) {
      EXPECT_EQ(checkpoints.erase(remove->step), 1U) << remove->step;
    } else if (auto* committed = std::get_if<Committed>(&effect)) {
      check(*committed);
      commits.push_back(std::move(*committed));
    } else if (auto* evaluation = std::get_if<EvaluationDone>(&effect)) {
      double loss = 0;
      for (std::uint32_t unit = 0; unit < workload_.evaluation_units; ++unit) {
        loss += validation_loss(evaluation->step) + unit / 1024.0;
      }
      EXPECT_EQ(evaluation->loss, loss / (3.0 * workload_.evaluation_units));
      evaluations.push_back(*evaluation);
    } else if (auto* back = std::get_if<RolledBack>(&effect)) {
      EXPECT_LE(back->step, expected_step_);
      expected_step_ = back->step;
      rollbacks.push_back(*back);
    } else if (auto* recovered = std::get_if<Recovered>(&effect)) {
      // The records of the last step are made anew.
      expected_step_ = recovered->kept;
      journaled_commit_ = recovered->kept + 1;
      committed_.erase({history_.generation, recovered->kept + 1});
      ++recoveries;
    } else if (auto* line = std::get_if<Say>(&effect)) {
      (line->warning ? warnings : lines).push_back(line->line);
    } else if (auto* end = std::get_if<Finished>(&effect)) {
      finished = *end;
    }
  }
}

}  // namespace cadre::runtime
