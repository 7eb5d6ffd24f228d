// The lock of a run's folder: held by a process through an open descriptor, so that the kernel drops it however the
// process ends. An open-file-description lock, since it can be asked about without being taken.
#pragma once

#include <filesystem>
#include <optional>

#include "runtime/run_folder.h"

namespace cadre::runtime {

RunHolder this_process();

// Takes `folder`/.lock and writes this process into it. Returns the descriptor to close. UserError: held by another
// process (its pid), or the file system refuses.
int take_run_lock(const std::filesystem::path& folder);

// Who holds it. A lock file that cannot be read counts as not held.
std::optional<RunHolder> holder_of_run_lock(const std::filesystem::path& folder);

}  // namespace cadre::runtime
