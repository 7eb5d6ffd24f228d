// What a mapped file costs: when another process cuts it short, or its disk fails, touching the lost pages raises
// SIGBUS. No code at the place of the touch can turn that into an exception, and reading by read() instead would give
// up the pages that ranks on one host share. So the signal ends the process, as any loss of a rank does, but says why.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace cadre::runtime {

// From here on, touching a lost page of a watched range ends the process with exit code 1 and one line on stderr that
// names the file; SIGBUS from elsewhere does what it did before. Called once, by main.
void end_with_a_word_on_cut_files();

// Called by MappedFile, from any thread. A range that is watched lies apart from all others.
void watch_for_cuts(std::span<const std::byte> mapped, const std::filesystem::path& path);
void unwatch(std::span<const std::byte> mapped) noexcept;

}  // namespace cadre::runtime
