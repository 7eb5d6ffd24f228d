#include "runtime/run_course.h"

#include <algorithm>
#include <bit>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

std::int64_t bits_of(double value) {
  return std::bit_cast<std::int64_t>(value);
}

double double_of(const boost::json::value& bits) {
  return std::bit_cast<double>(bits.to_number<std::int64_t>());
}

}  // namespace

bool BestSoFar::observe(std::uint64_t done, double found) {
  const bool better = found == found && (step < 0 || found < loss);
  if (better)
    step = static_cast<std::int64_t>(done), loss = found, worse = 0;
  else
    ++worse;
  return better;
}

void settle(Committed& committed, RunCourse& course, std::uint64_t logging_steps, const Workload& workload) {
  course.done = committed.step;
  committed.epoch = workload.epochs_after(course.done);
  Window& window = course.window;
  window.tokens += committed.tokens;
  if (committed.is_skipped) {
    ++window.skipped;
  } else {
    window.loss_sum += committed.loss;
    ++window.steps;
  }
  committed.window = window;
  committed.logged =
      course.done % std::max<std::uint64_t>(1, logging_steps) == 0 || course.done == workload.total_steps;
  if (committed.logged) window = {};
}

bool evaluation_is_due(const RunPolicy& policy, const Workload& workload, const RunCourse& course) {
  if (policy.eval_every == 0 || workload.evaluation_units == 0 || course.evaluated == course.done) return false;
  return course.done % policy.eval_every == 0 || course.done == workload.total_steps;
}

bool stops_early(const RunPolicy& policy, const RunCourse& course) {
  return policy.patience > 0 && course.best.worse >= policy.patience;
}

bool is_at_end(const RunPolicy& policy, const Workload& workload, const RunCourse& course) {
  return course.done >= workload.total_steps || stops_early(policy, course);
}

std::string reason_to_save(const RunPolicy& policy, const Workload& workload, const RunCourse& course) {
  if (course.done == 0) return {};  // the seeded start is a function of the configuration
  if (course.best.step == static_cast<std::int64_t>(course.done)) return "best validation loss so far";
  if (is_at_end(policy, workload, course)) return "the last step";
  return is_saved_anyway(policy, course.done) ? "save_steps" : "";
}

bool is_saved_anyway(const RunPolicy& policy, std::uint64_t step) {
  return policy.save_every > 0 && step % policy.save_every == 0;
}

boost::json::object state_of(const RunCourse& course, const Workload& workload) {
  return {{"best_step", course.best.step},
          {"best_loss_bits", bits_of(course.best.loss)},
          {"worse", course.best.worse},
          {"window_loss_bits", bits_of(course.window.loss_sum)},
          {"window_steps", course.window.steps},
          {"window_tokens", course.window.tokens},
          {"window_skipped", course.window.skipped},
          {"elements", workload.elements},
          {"parameter_layout", workload.layout}};
}

RunCourse course_of(const Manifest& manifest) {
  RunCourse course{.done = manifest.step};
  // A checkpoint is taken after the evaluation of its step.
  if (manifest.step > 0) course.evaluated = manifest.step;
  try {
    const boost::json::object& state = manifest.state;
    course.best.step = state.at("best_step").to_number<std::int64_t>();
    course.best.loss = double_of(state.at("best_loss_bits"));
    course.best.worse = state.at("worse").to_number<std::uint64_t>();
    course.window.loss_sum = double_of(state.at("window_loss_bits"));
    course.window.steps = state.at("window_steps").to_number<std::uint64_t>();
    course.window.tokens = state.at("window_tokens").to_number<std::uint64_t>();
    if (const auto* skipped = state.if_contains("window_skipped")) {
      course.window.skipped = skipped->to_number<std::uint64_t>();
    }
  } catch (const std::exception&) {
    throw UserError(say("the checkpoint of step ", manifest.step, " has not the state that this program writes; ",
                        "go on from another one or begin anew"));
  }
  return course;
}

void require_same_work(const Manifest& manifest, const Workload& workload) {
  const boost::json::value* layout = manifest.state.if_contains("parameter_layout");
  const boost::json::value* elements = manifest.state.if_contains("elements");
  const bool same = layout != nullptr && *layout == boost::json::value(workload.layout) &&
                    (elements == nullptr || *elements == boost::json::value(workload.elements));
  if (!same) {
    throw UserError(
        say("the checkpoint of step ", manifest.step, " is of another model or another set of trained parameters"));
  }
  if (manifest.step > workload.total_steps) {
    throw UserError(say("the checkpoint is of step ", manifest.step, ", but this run ends at step ",
                        workload.total_steps, "; raise max_steps or name an older checkpoint"));
  }
}

ResultSource source_of_result(const RunPolicy& policy, const RunCourse& course, bool best_is_kept) {
  const std::int64_t best = course.best.step;
  if (policy.patience == 0 || best < 0 || best == static_cast<std::int64_t>(course.done)) {
    return {.step = course.done, .in_words = say("step ", course.done, " (the last)")};
  }
  const std::string words = say("step ", best, " (the best validation loss)");
  if (best == 0) return {ResultSource::From::kSeededStart, 0, words, {}};
  if (best_is_kept) return {ResultSource::From::kCheckpoint, static_cast<std::uint64_t>(best), words, {}};
  // A full disk may have refused it: the last step's result is then worth more than none.
  return {.step = course.done,
          .in_words = say("step ", course.done, " (the last; the best, step ", best, ", was not kept)"),
          .warning = say("step ", best, " had the best validation loss, but there is no checkpoint of it; the result ",
                         "is of step ", course.done)};
}

}  // namespace cadre::runtime
