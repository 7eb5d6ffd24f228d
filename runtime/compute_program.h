// The program that computes: `cadre` itself has no tensors, so that it starts at once, and leaves what needs them to
// its neighbour, which has all verbs.
#pragma once

#include <filesystem>

namespace cadre::runtime {

// Both in the folder of the program that runs. RunError: /proc is not there.
std::filesystem::path command_program();  // `cadre`
std::filesystem::path compute_program();  // `cadre-compute`

// Becomes it, with the same arguments. Returns only by RunError: it cannot be started.
[[noreturn]] void become_compute_program();

}  // namespace cadre::runtime
