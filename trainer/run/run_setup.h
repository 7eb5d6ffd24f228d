// What is done once for a run, before any of its ranks is started: everything that can be wrong with configuration,
// model, data or folder is found here, and the prepared data is put where every rank finds it.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "runtime/run_folder.h"
#include "trainer/config/load.h"
#include "trainer/run/progress.h"

namespace cadre::run {

struct RunSetup {
  runtime::RunFolder folder;  // locked; run.json says running
  std::string configuration;  // for the ranks, as config::load_text reads it
  std::string chat_template_date;
  std::string prepared_key;           // of the prepared data in its cache; empty: it could not be kept
  std::uint64_t steps_per_epoch = 0;  // of the first epoch
};

// The ranks of a run's first start, which gradient_accumulation_steps is resolved by: `ranks` where there is none yet.
std::int64_t ranks_of_first_start(const std::string& output_dir, std::int64_t ranks);

// `ranks`: of this start. `check` is called now and then, and may throw Stopped, which run.json then says. UserError
// names what is wrong; a run that was here is then as it was before. Uses all processors.
RunSetup set_up_run(const config::Resolved& resolved, std::int64_t ranks, Progress& progress,
                    const std::function<void()>& check);

// What only the ranks know, from the first view on.
void record_workload(runtime::RunFolder& folder, std::uint64_t max_steps, std::uint64_t trained_parameters);

struct RunResult {
  std::map<std::string, std::string> sha256 = {};  // of each file
  std::string of = {};                             // which step's parameters, in words
  std::uint64_t steps = 0;
};
// The last words in run.json. They never throw: the disk may be what failed.
void record_success(runtime::RunFolder& folder, const RunResult& result);
void record_end(runtime::RunFolder& folder, runtime::RunStatus status, const std::string& reason) noexcept;

}  // namespace cadre::run
