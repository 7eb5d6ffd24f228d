// `cadre status RUN [--json]`: what a run's folder says, while the run is alive and after it.
#pragma once

#include <boost/json/object.hpp>
#include <filesystem>
#include <ostream>

namespace cadre::launch {

// {"status", "step", "max_steps", "view", "coordinator": {"host", "pid"}, "ranks": [{"rank", "host", "pid", "state",
// "micro_batches"}], "events": [last ten of the journal]}. `micro_batches` counts those of the last step that the
// ledger has; who takes part comes from the journal, and before it says so there is no rank and no coordinator (nulls).
// UserError when there is no run in the folder.
boost::json::object status_of_run(const std::filesystem::path& run);

// Prints it, for a person or as one line of JSON. Returns the exit code. UserError as above.
int status(const std::filesystem::path& run, bool json, std::ostream& out);

}  // namespace cadre::launch
