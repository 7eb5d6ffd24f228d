// Whether a finished or stopped run is what its records say.
#pragma once

#include <filesystem>
#include <ostream>

namespace cadre::run {

// Recomputes every hash that run.json, the checkpoints and the receipt name, and proves the records from the term
// journals (runtime/record_proof.h). One line a check to `out`; true when all hold. UserError when there is no
// run.
bool verify(const std::filesystem::path& run, std::ostream& out);

}  // namespace cadre::run
