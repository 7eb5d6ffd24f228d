// Orders and votes: what follows when nothing is in hand, and what follows from all votes together.
#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/coordinator_machine.h"
#include "runtime/error.h"

namespace cadre::runtime {
namespace {

// Exact, whatever reads the numbers beside them.
std::int64_t bits_of(double value) {
  return std::bit_cast<std::int64_t>(value);
}

boost::json::array as_json(const std::vector<LedgerEntry>& micro_batches) {
  boost::json::array entries;
  entries.reserve(micro_batches.size());
  for (const LedgerEntry& entry : micro_batches) {
    boost::json::array samples(entry.samples.begin(), entry.samples.end());
    entries.push_back(boost::json::array{entry.rank, entry.view, std::move(samples)});
  }
  return entries;
}

}  // namespace

std::vector<Connection> Coordinator::Machine::members() const {
  std::vector<Connection> live;
  live.reserve(live_);
  for (const Connection connection : connections_) {
    if (connection != 0) live.push_back(connection);
  }
  return live;
}

Coordinator::Machine::Next Coordinator::Machine::next(bool may_regroup) {
  const Workload& workload = *roll_.workload();
  const std::uint64_t done = course_.done;
  // First of all: what is due is then ordered in the new view.
  if (may_regroup && may_part()) return Part{};
  if (may_regroup && (can_admit() || has_new_leavers())) return Regroup{};
  if (evaluation_is_due(options_.policy, workload, course_)) return Order{.kind = Order::Kind::kEvaluate, .step = done};

  const bool end = is_at_end(options_.policy, workload, course_);
  std::string reason = reason_to_save(options_.policy, workload, course_);
  if (reason.empty() && done > 0) reason = stopping_ ? "stopped by " + *stopping_ : owed_snapshot_;
  Order order{.kind = Order::Kind::kWait, .step = done};
  if (!reason.empty() && !snapshots_.has(done)) {
    // A slow disk may cost a periodic one, but none on which the result or a resume depends.
    const bool is_needed = end || stopping_ || course_.best.step == static_cast<std::int64_t>(done);
    if (is_needed && !snapshots_.none_under_way()) return order;
    order.snapshot = true;
    order.must_save = is_needed;
    order_snapshot(std::move(reason));
  }
  if ((end || stopping_) && !snapshots_.none_under_way()) return order;
  if (end) return order_of_result();
  if (stopping_) return Leave{};
  Order train = order_of_step();
  train.snapshot = order.snapshot;
  train.must_save = order.must_save;
  return train;
}

void Coordinator::Machine::do_next() {
  const Next following = next();
  if (const Order* order = std::get_if<Order>(&following)) {
    const bool waits_already = phase_ == Phase::kWaiting && order->kind == Order::Kind::kWait && !order->snapshot;
    if (!waits_already) proceed(*order);
  } else if (std::holds_alternative<Regroup>(following)) {
    install(members(), false, reason_to_regroup());
  } else if (std::holds_alternative<Part>(following)) {
    part();
  } else if (course_.done == newest_course_.done) {
    finish({RunOutcome::kStopped, *stopping_, course_.done, {}, {}});
  } else {
    fail("stopped by " + *stopping_ + ", and the checkpoint could not be written");
  }
}

void Coordinator::Machine::begin(const Order& order) {
  order_ = order;
  ordered_ = now_;
  switch (order.kind) {
    case Order::Kind::kTrain: {
      const StepVotes::Step step{order.step,
                                 roll_.workload()->micro_batches_of(order.step),
                                 view_,
                                 placement_,
                                 placement_.holders.front().size(),
                                 options_.policy.in_rounds};
      votes_.begin(step, order.shares);
      phase_ = Phase::kTraining;
      break;
    }
    case Order::Kind::kEvaluate:
      evaluation_.begin(order.step, roll_.workload()->evaluation_units, view_);
      phase_ = Phase::kEvaluating;
      break;
    case Order::Kind::kWait:
      phase_ = Phase::kWaiting;
      break;
    case Order::Kind::kWriteResult:
      phase_ = Phase::kWriting;
      break;
    case Order::Kind::kEnd:
      CADRE_CHECK(false, "the end is no order to begin");
      break;
  }
}

void Coordinator::Machine::proceed(Order order) {
  begin(order);
  effects_.push_back(Tell{members(), Proceed{stamp_, std::move(order)}});
}

// Something between two ranks, or in one's memory, has changed a bit. `copies`, `parameters`: what differs.
void Coordinator::Machine::dispute(const std::string& copies, const std::string& parameters) {
  const std::uint64_t step = course_.done;
  const std::string problem = copies.empty() || parameters.empty() ? copies + parameters : copies + "; " + parameters;
  const std::string where = runtime::say("step ", step + 1, ": ", problem);
  const Disputes::Remedy remedy = disputes_.disagreed(step, !copies.empty() && !parameters.empty());
  journal("vote_failed", problem, {{"step", step + 1}});
  const std::vector<Rank> suspects = disputes_.suspects();
  const bool all_do = suspects.size() >= live_;
  if (remedy == Disputes::Remedy::kGiveUp || (remedy == Disputes::Remedy::kPutOut && (suspects.empty() || all_do))) {
    return fail(where + ", again and again; a network or a memory is at fault");
  }
  say(runtime::say("step ", step + 1, " is done again: ", problem), true);
  switch (remedy) {
    case Disputes::Remedy::kDoAgain:
      // The copies are right; whoever has other parameters than they gets them anew.
      if (!parameters.empty()) return fence(where);
      return proceed(order_of_step());
    case Disputes::Remedy::kGoBack:
      must_go_back_ = true;
      if (is_loaded_) doubted_ = step;
      return fence(where);
    default:
      break;
  }
  for (const Rank rank : suspects) {
    const auto index = view_.index_of(rank);
    if (!finished() && index && connections_[*index] != 0) {
      put_out(connections_[*index],
              runtime::say("does not hold what it must at step ", step + 1, ", however often it is done again"));
      disputes_.forget(rank);
    }
  }
}

void Coordinator::Machine::blame(const std::map<Rank, std::uint32_t>& erred, std::uint64_t step) {
  for (const auto& [rank, times] : erred) {
    const std::string problem =
        runtime::say("rank ", rank, " held other bytes than those that step ", step, " was committed with, in ", times,
                     times == 1 ? " step" : " steps", " by now; its memory or its network may be at fault");
    journal("erred", problem, {{"step", step}, {"rank", rank}, {"times", times}});
    say(problem, true);
  }
  for (const auto& [rank, times] : erred) {
    const auto index = view_.index_of(rank);
    if (times < Disputes::kMostErrors || finished() || !index || connections_[*index] == 0) continue;
    disputes_.forget(rank);
    put_out(connections_[*index], runtime::say("held wrong bytes in ", times, " steps"));
  }
}

Order Coordinator::Machine::order_of_step() {
  Order order{.kind = Order::Kind::kTrain, .step = course_.done, .audit = disputes_.is_open(course_.done)};
  if (options_.policy.shares_by_speed) {
    order.shares = speeds_.shares(roll_.workload()->micro_batches_of(course_.done), view_);
  }
  return order;
}

void Coordinator::Machine::settle_step() {
  const std::string copies = votes_.copy_problem(), parameters = votes_.parameters_problem();
  const bool agree = copies.empty() && parameters.empty();
  if (!agree || disputes_.is_open(course_.done)) {
    for (const auto& [rank, said] : votes_.statements()) disputes_.hear(course_.done, rank, said);
  }
  if (!agree) return dispute(copies, parameters);
  std::map<Rank, std::uint32_t> erred;
  if (disputes_.is_open(course_.done)) {
    erred = disputes_.settle(course_.done, votes_.owners_statements());
  }
  for (const StepVotes::Work& work : votes_.work()) speeds_.observe(work.rank, work.tokens, work.seconds);
  Committed committed = votes_.outcome();
  if (!std::isfinite(committed.loss) || !std::isfinite(committed.grad_norm)) {
    committed.is_skipped = options_.policy.skips_nonfinite;
    const std::string problem = journal_nonfinite(committed);
    if (!committed.is_skipped) {
      return fail(problem + "; a lower learning_rate, a look at the step's samples in journal.jsonl or " +
                  "on_nonfinite: skip may help");
    }
    say(problem + "; the step is skipped", true);
  }
  const std::uint64_t step = committed.step;
  commit(std::move(committed));
  if (!erred.empty() && !finished()) blame(erred, step);
}

// As those hear it that are to apply it and wait for the next order.
Commit Coordinator::Machine::commit_of(const Committed& committed) const {
  return {stamp_, course_.done - 1, !committed.is_skipped, committed.clip_scale,
          Order{.kind = Order::Kind::kWait, .step = course_.done}};
}

// What was not finite, and what follows: every rank hears the same with the commit. Of a step of which every loss is
// finite all micro-batches are named, since any may have made the gradient what it is.
std::string Coordinator::Machine::journal_nonfinite(const Committed& committed) {
  const std::string problem = runtime::say("step ", committed.step, ": the loss is ", committed.loss,
                                           " and the gradient's norm ", committed.grad_norm);
  const std::vector<std::uint32_t> by_loss = votes_.nonfinite_micro_batches();
  boost::json::array micro_batches;
  for (const LedgerEntry& entry : committed.micro_batches) {
    if (!by_loss.empty() && !std::binary_search(by_loss.begin(), by_loss.end(), entry.micro_batch)) continue;
    boost::json::array samples(entry.samples.begin(), entry.samples.end());
    micro_batches.push_back(
        boost::json::object{{"micro_batch", entry.micro_batch}, {"rank", entry.rank}, {"samples", std::move(samples)}});
  }
  journal("non_finite", problem,
          {{"step", committed.step},
           {"decision", committed.is_skipped ? "skip" : "stop"},
           {"non_finite_losses", by_loss.size()},
           {"non_finite_chunks", votes_.nonfinite_chunks().size()},
           {"micro_batches", std::move(micro_batches)}});
  return problem;
}

void Coordinator::Machine::commit(Committed committed) {
  connected_anew_ = false;
  slowest_step_ = std::max(slowest_step_, now_ - ordered_);
  is_loaded_ = true;
  if (resident_in_.stamp != view_.stamp) settle_residency();
  committed.stamp = stamp_;
  committed.at = now_;
  committed.clip_scale = committed.is_skipped ? 0 : clip_scale_of(committed.grad_norm, options_.policy.max_grad_norm);
  settle(committed, course_, options_.logging_steps, *roll_.workload());

  journal("commit", "every rank has voted",
          {{"skipped", committed.is_skipped},
           {"loss", committed.loss},
           {"grad_norm", committed.grad_norm},
           {"clip_scale", committed.clip_scale},
           {"bits",
            boost::json::array{bits_of(committed.loss), bits_of(committed.grad_norm), bits_of(committed.clip_scale)}},
           {"ranks", committed.ranks},
           {"compute_seconds", committed.compute_seconds},
           {"exchange_seconds", committed.exchange_seconds},
           {"tokens", committed.tokens},
           {"trained_tokens", committed.trained_tokens},
           {"micro_batches", as_json(committed.micro_batches)}},
          Durability::kKernel, false);
  const Next following = next();
  // Whatever is no order follows once all have applied the update.
  const Order* order = std::get_if<Order>(&following);
  const Order given = order != nullptr ? *order : Order{.kind = Order::Kind::kWait, .step = course_.done};
  begin(given);
  told_commit_ = commit_of(committed);
  Commit commit = told_commit_;
  commit.next = given;
  effects_.push_back(Tell{members(), std::move(commit)});
  effects_.push_back(std::move(committed));
  if (order == nullptr) do_next();
}

void Coordinator::Machine::settle_evaluation() {
  if (const std::string problem = evaluation_.parameters_problem(); !problem.empty()) {
    for (const auto& [rank, digest] : evaluation_.parameters_digests()) {
      disputes_.hear(course_.done, rank, std::vector<ChunkDigest>{{Disputes::kParameters, digest}});
    }
    return dispute({}, problem);
  }
  const double loss = evaluation_.loss();
  const std::int64_t best_before = course_.best.step;
  course_.evaluated = course_.done;
  is_loaded_ = true;
  const bool best = course_.best.observe(course_.done, loss);
  if (best) best_before_ = best_before;
  journal("evaluation", best ? "the best so far" : "no better",
          {{"loss", loss}, {"bits", boost::json::array{bits_of(loss)}}, {"best_step", course_.best.step}},
          Durability::kKernel, false);
  effects_.push_back(EvaluationDone{course_.done, roll_.workload()->epochs_after(course_.done), loss, best, now_});
  if (stops_early(options_.policy, course_) && course_.done < roll_.workload()->total_steps) {
    journal("early_stopping", runtime::say("no better validation loss than step ", course_.best.step, "'s for ",
                                           course_.best.worse, " evaluations"));
  }
  do_next();
}

Order Coordinator::Machine::order_of_result() {
  const bool kept = course_.best.step > 0 && snapshots_.is_published(static_cast<std::uint64_t>(course_.best.step));
  const ResultSource source = source_of_result(options_.policy, course_, kept);
  if (!source.warning.empty()) say(source.warning, true);
  result_of_ = source.in_words;
  Order order{.kind = Order::Kind::kWriteResult, .step = course_.done};
  if (source.from == ResultSource::From::kSeededStart) order.checkpoint = kSeededStart;
  if (source.from == ResultSource::From::kCheckpoint) order.checkpoint = folder_of(source.step);
  order.reason = source.in_words;
  return order;
}

// The best step's checkpoint was damaged after it was written: the last step's result is worth more than none.
bool Coordinator::Machine::write_last_instead(const std::string& problem) {
  if (course_.best.step <= 0 || !snapshots_.is_published(course_.done)) return false;
  const auto best = static_cast<std::uint64_t>(course_.best.step);
  if (best == course_.done || order_.checkpoint != folder_of(best)) return false;
  say(problem, true);
  snapshots_.removed(best);
  Order order = order_of_result();
  order.checkpoint = folder_of(course_.done);  // the writer may hold a part of the best step's parameters
  proceed(std::move(order));
  return true;
}

}  // namespace cadre::runtime
