// Whether a rank sees the run's folder as the coordinator does: the rank leaves a file in it, under a name that it says
// when it joins, and the coordinator looks for it. A folder of the same name on a disk of its own has not this file.
#pragma once

#include <filesystem>
#include <string>

namespace cadre::runtime {

// Rank: leaves a file that only who holds the run's token can have written. Returns what names it; empty when there is
// no such folder, or this process may not write to it.
std::string leave_folder_proof(const std::filesystem::path& folder, const std::string& token);

// Coordinator: whether it is there, with the right content. `proof` may be anything.
bool find_folder_proof(const std::filesystem::path& folder, const std::string& token, const std::string& proof);

// Rank: removes it. A coordinator that takes the place of another may have to look once more, so that it lasts until
// the rank has its answer.
void remove_folder_proof(const std::filesystem::path& folder, const std::string& proof) noexcept;
// Coordinator, at the end: those of ranks that died before.
void remove_folder_proofs(const std::filesystem::path& folder) noexcept;

}  // namespace cadre::runtime
