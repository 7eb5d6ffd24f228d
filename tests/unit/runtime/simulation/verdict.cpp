#include "tests/unit/runtime/simulation/verdict.h"

#include <bit>
#include <filesystem>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "runtime/match.h"
#include "runtime/record_proof.h"
#include "runtime/run_course.h"
#include "tests/unit/runtime/simulation/simulated_cluster.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::simulation {

using namespace std::chrono_literals;
namespace {

std::string printed(const std::vector<ChunkState>& chunks) {
  std::vector<std::uint64_t> values;
  for (const ChunkState& chunk : chunks) values.push_back(chunk.values);
  return std::to_string(digest_of(values));
}

}  // namespace

ExpectedEnd expected_end(const Scenario& scenario, const Trajectory& trajectory) {
  runtime::RunCourse course;
  for (;;) {
    if (runtime::evaluation_is_due(scenario.policy, scenario.workload, course)) {
      course.best.observe(course.done, trajectory.points[course.done].evaluation);
      course.evaluated = course.done;
    }
    if (runtime::is_at_end(scenario.policy, scenario.workload, course)) break;
    ++course.done;
  }
  const runtime::ResultSource source = runtime::source_of_result(scenario.policy, course, true);
  const bool is_start = source.from == runtime::ResultSource::From::kSeededStart;
  return {course.done, printed(trajectory.points[is_start ? 0 : source.step].chunks),
          printed(trajectory.points[course.done].chunks)};
}

bool is_end_for_lack_of_ranks(const std::string& reason) {
  for (const char* part : {"needed", "did not come within", "is left out", "the checkpoint could not be written"}) {
    if (reason.find(part) != std::string::npos) return true;
  }
  return false;
}

void SimulatedCluster::require(bool holds, const std::function<std::string()>& problem) {
  if (holds || !story_.problem.empty()) return;
  story_.problem = problem();
  trace([&] { return "PROBLEM: " + story_.problem; });
}

void SimulatedCluster::computed(const SimulatedRank& rank, std::uint64_t step, std::uint32_t micro_batch,
                                std::uint64_t view) {
  computed_.emplace(step, micro_batch, rank.number(), view);
}

void SimulatedCluster::check_commit(const boost::json::object& entry) {
  const auto step = entry.at("step").to_number<std::uint64_t>();
  const auto generation = entry.at("generation").to_number<std::uint64_t>();
  const Trajectory::Point& point = trajectory_.points.at(step - 1);
  const std::string bits = runtime::json_line(entry.at("bits"));
  const boost::json::array expected{std::bit_cast<std::int64_t>(point.loss),
                                    std::bit_cast<std::int64_t>(point.grad_norm),
                                    std::bit_cast<std::int64_t>(point.clip_scale)};
  require(bits == runtime::json_line(expected), [&] {
    return runtime::say("step ", step, " is committed with another loss, norm or scale than an undisturbed run's");
  });
  const bool is_new = journaled_.emplace(std::pair(generation, step), bits).second;
  // What a crash took from the journal may be decided again: the values are the same.
  require(is_new || has_crashed_,
          [&] { return runtime::say("step ", step, " is committed twice in generation ", generation); });
}

void SimulatedCluster::check_ledger(const runtime::Committed& commit) {
  require(commit.micro_batches.size() == workload().micro_batches_of(commit.step - 1),
          [&] { return runtime::say("step ", commit.step, " of ", commit.micro_batches.size(), " micro-batches"); });
  for (std::uint32_t m = 0; m < commit.micro_batches.size(); ++m) {
    const runtime::LedgerEntry& one = commit.micro_batches[m];
    require(one.micro_batch == m && one.samples == samples_of(workload(), commit.step - 1, m),
            [&] { return runtime::say("step ", commit.step, ": micro-batch ", m, " has other samples"); });
    require(computed_.contains({commit.step - 1, m, one.rank, one.view}), [&] {
      return runtime::say("step ", commit.step, ": micro-batch ", m, " was not computed by rank ", one.rank,
                          " in view ", one.view);
    });
  }
}

void SimulatedCluster::check_end() {
  const ExpectedEnd expected = expected_end(scenario_, trajectory_);
  require(finished_->step == expected.step,
          [&] { return runtime::say("the run ended after step ", finished_->step, " of ", expected.step); });
  const auto result = finished_->result_sha256.find("adapter_model.safetensors");
  require(result != finished_->result_sha256.end() &&
              (result->second == expected.result ||
               ((disk_has_failed_ || scenario_.progress_limit > 0us) && result->second == expected.of_last)),
          [&] { return "the result is another than an undisturbed run's: " + finished_->result_of; });
  std::uint64_t next = 1;
  for (const auto& [step, line] : disk_.ledger) {
    require(step == next, [&] { return runtime::say("the ledger has step ", step, " where ", next, " comes next"); });
    ++next;
  }
  require(next == expected.step + 1, [&] { return runtime::say("the ledger ends before step ", next); });
  for (const auto& [number, rank] : ranks_) {
    require(!rank->is_alive() || rank->is_stopped() || rank->has_ended(),
            [&] { return rank->describe() + " has not ended with the run"; });
  }
  if (options_.proves) check_records();
}

void SimulatedCluster::check_records() {
  const runtime::TestFolder folder;
  disk_.write_into(folder.path());
  std::uint64_t micro_batches = 0;
  for (std::uint64_t step = 0; step < workload().epochs.front().steps; ++step) {
    micro_batches += workload().micro_batches_of(step);
  }
  runtime::ProofOptions options{.final_step = finished_->step};
  options.rows_of_epoch = 2 * micro_batches;
  for (const runtime::Claim& claim : runtime::prove_records(folder.path(), options)) {
    require(claim.problem.empty(), [&] { return claim.what + ": " + claim.problem; });
  }
}

// ---- for a person

void SimulatedCluster::trace(const std::function<std::string()>& line) {
  if (!options_.traces) return;
  std::fprintf(stderr, "%10.3f ms  %s\n",
               static_cast<double>(std::chrono::duration_cast<Duration>(clock_.now() - TimePoint{}).count()) / 1000,
               line().c_str());
}

std::string SimulatedCluster::describe() const {
  std::string text = simulation::describe(scenario_);
  if (finished_) text += "\n  finished: " + finished_->reason;
  text += runtime::say("\n  coordinator of term ", coordinator_->term(), coordinator_->is_alive() ? "" : ", dead",
                       coordinator_->is_stopped() ? ", stopped" : "", ", ", coordinator_->links().size(),
                       " connections, step ", coordinator_->machine().done_steps(), " done, view ",
                       coordinator_->machine().view().stamp.view);
  for (const auto& [number, rank] : ranks_) text += "\n  " + rank->describe();
  return text;
}

std::string SimulatedCluster::describe(const ControlLink& link, const runtime::MemberMessage& message) const {
  const auto& rank = static_cast<const SimulatedRank&>(*link.rank());
  const std::string what = std::visit(
      runtime::Match{
          [](const runtime::Join&) { return std::string("join"); },
          [](const runtime::Ready&) { return std::string("ready"); },
          [](const runtime::Progress& m) {
            return runtime::say("micro-batch ", m.result.index, " of step ", m.step, ", view ", m.stamp.view);
          },
          [](const runtime::Prepared& m) { return runtime::say("prepared ", m.step, ", view ", m.stamp.view); },
          [](const runtime::Evaluated& m) { return runtime::say("evaluated ", m.step, ", view ", m.stamp.view); },
          [](const runtime::Report& m) {
            return runtime::say("report: view ", m.stamp.view, ", committed ", m.committed, ", ", m.held.size(),
                                " nodes of step ", m.step);
          },
          [](const runtime::ShardWritten& m) {
            return runtime::say("shard of step ", m.step, ", view ", m.stamp.view);
          },
          [](const runtime::ShardFailed& m) {
            return runtime::say("no shard of step ", m.step, ", view ", m.stamp.view);
          },
          [](const runtime::ResultWritten&) { return std::string("result"); },
          [](const runtime::Failed& m) { return "failed: " + m.reason; },
          [](const runtime::Note&) { return std::string("note"); },
          [](const runtime::Heartbeat&) { return std::string("beat"); },
          [](const runtime::ReadFile& m) { return "reads " + m.path; },
          [](const runtime::WriteFile& m) { return "writes " + m.path; },
          [](const runtime::FinishFile& m) { return "has written " + m.path; },
          [](const runtime::PeerLost& m) { return runtime::say("cannot reach rank ", m.peer); },
          [](const runtime::Rejoin& m) {
            return runtime::say("rejoin as ", m.self.rank, ".", m.self.incarnation, ", view ", m.stamp.view,
                                ", committed ", m.committed, m.is_ready ? ", ready" : "");
          }},
      message);
  return runtime::say("rank ", rank.number(), " (pid ", rank.pid(), ", connection ", link.id(), "): ", what);
}

std::string SimulatedCluster::describe(const runtime::CoordinatorMessage& message) const {
  const auto in_words = [](const runtime::Order& order) {
    constexpr const char* kKinds[] = {"train", "evaluate", "write result", "wait", "end"};
    return runtime::say(kKinds[static_cast<int>(order.kind)], " ", order.step, order.snapshot ? ", snapshot" : "");
  };
  return std::visit(
      runtime::Match{[](const runtime::Welcome& m) { return runtime::say("welcome ", m.rank, ".", m.incarnation); },
                     [](const runtime::Refused& m) { return "refused: " + m.reason; },
                     [](const runtime::Fence& m) { return runtime::say("fence of view ", m.stamp.view); },
                     [&](const runtime::NewView& m) {
                       return runtime::say("view ", m.view.stamp.view, " of ", m.view.size(), m.load ? ", load " : ", ",
                                           m.checkpoint, " ", in_words(m.order));
                     },
                     [&](const runtime::Commit& m) { return runtime::say("commit ", m.step, ", ", in_words(m.next)); },
                     [](const runtime::FileAnswer& m) { return "file: " + m.problem; },
                     [&](const runtime::Proceed& m) { return "proceed: " + in_words(m.next); }},
      message);
}

}  // namespace cadre::simulation
