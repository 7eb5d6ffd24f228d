// What there is to do, in numbers that every rank derives from configuration, data and model: the same on all of them,
// or the run does not start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cadre::runtime {

struct EpochShape {
  std::uint64_t steps = 0;
  std::uint32_t micro_batches = 0;       // of every step but the last
  std::uint32_t last_micro_batches = 0;  // of the last step of the epoch

  bool operator==(const EpochShape&) const = default;
};

struct Workload {
  std::uint64_t total_steps = 0;
  std::vector<EpochShape> epochs = {};  // together at least total_steps
  std::uint32_t evaluation_units = 0;   // batches of validation rows; 0: no validation
  std::uint64_t elements = 0;           // of the flat space of trained parameters
  std::string layout = {};         // hash of what lies where in that space: checkpoints of equal ones can be exchanged
  std::string digest = {};         // of plan, data, base model and layout
  std::string instructions = {};   // that are pinned, as instruction_set.h writes them
  std::uint64_t known_answer = 0;  // hash of what one micro-batch gives with the starting values

  // Of optimizer step `step`, counted from 0.
  std::uint32_t micro_batches_of(std::uint64_t step) const;
  // Epochs done after `steps` steps: 1.5 in the middle of the second.
  double epochs_after(std::uint64_t steps) const;
  bool operator==(const Workload&) const = default;
};

// What the coordinator decides by: the configuration's, in steps.
struct RunPolicy {
  std::uint64_t eval_every = 0;        // steps; 0: never
  std::uint64_t save_every = 0;        // steps; 0: only the last
  std::uint64_t patience = 0;          // evaluations without a better loss before the run stops; 0: never
  double max_grad_norm = 0;            // 0: no clipping
  std::uint64_t save_total_limit = 0;  // checkpoints kept, beside the best; 0: all
  std::uint32_t state_copies = 2;
  bool in_rounds = false;        // micro-batches are dealt out one at a time
  bool shares_by_speed = false;  // a slow rank gets fewer micro-batches; else all get as many
  bool skips_nonfinite = false;  // a step whose loss or gradient is not finite; else the run ends
};

}  // namespace cadre::runtime
