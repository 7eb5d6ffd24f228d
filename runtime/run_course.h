// Where a run stands, and what its policy wants before the next step: pure functions of the two. What a resumed run
// must know of it travels in a checkpoint's manifest.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/effects.h"
#include "runtime/workload.h"

namespace cadre::runtime {

// Which step was best: a function of the validation losses so far.
struct BestSoFar {
  std::int64_t step = -1;  // −1: none yet
  double loss = 0;
  std::uint64_t worse = 0;  // evaluations since

  // Takes the validation loss after `done` steps; true when it is the best so far. A NaN never is.
  bool observe(std::uint64_t done, double found);
  bool operator==(const BestSoFar&) const = default;
};

struct RunCourse {
  std::uint64_t done = 0;                       // updates
  std::optional<std::uint64_t> evaluated = {};  // updates before the last validation loss
  BestSoFar best = {};
  Window window = {};

  bool operator==(const RunCourse&) const = default;
};

// The update of `committed` is done: fills in what follows from the course, and takes it into the course.
void settle(Committed& committed, RunCourse& course, std::uint64_t logging_steps, const Workload& workload);

// A validation loss is to be taken now: at the start, every eval_every steps, after the last.
bool evaluation_is_due(const RunPolicy& policy, const Workload& workload, const RunCourse& course);

// Patience has ended.
bool stops_early(const RunPolicy& policy, const RunCourse& course);

// No step follows.
bool is_at_end(const RunPolicy& policy, const Workload& workload, const RunCourse& course);

// Why the state as it is now is to be saved; empty: it is not. To be asked when no evaluation is due.
std::string reason_to_save(const RunPolicy& policy, const Workload& workload, const RunCourse& course);

// Whether a checkpoint of this step stays when it is no longer the best.
bool is_saved_anyway(const RunPolicy& policy, std::uint64_t step);

// A manifest's state, and back: doubles as their bits. UserError when the manifest is of another form, or of other
// work than `workload`.
boost::json::object state_of(const RunCourse& course, const Workload& workload);
RunCourse course_of(const Manifest& manifest);
void require_same_work(const Manifest& manifest, const Workload& workload);

// Whose parameters the result has.
struct ResultSource {
  enum class From { kCurrent, kSeededStart, kCheckpoint } from = From::kCurrent;
  std::uint64_t step = 0;
  std::string in_words = {};
  std::string warning = {};  // the best was not kept
};
ResultSource source_of_result(const RunPolicy& policy, const RunCourse& course, bool best_is_kept);

}  // namespace cadre::runtime
