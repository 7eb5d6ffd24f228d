// Ranks choose their own processors: mpirun would give two islands of one host the same ones.
#pragma once

#include <cstdint>
#include <vector>

namespace cadre::launch {

struct PinningRequest {
  std::vector<int> allowed = {};  // processors that this process may use, ascending
  std::uint32_t local_rank = 0;   // among the ranks of this host
  std::uint32_t local_size = 1;
  std::uint32_t threads = 1;  // of each rank that compute
};

// This rank's processors: its part of all that are allowed, so that the threads that do not compute have room too where
// there is any. Empty where each rank cannot have as many as it has threads, and so none is pinned.
std::vector<int> choose_processors(const PinningRequest& request);

std::vector<int> allowed_processors();
// Pins all threads that this process starts from now on. False when the system refuses.
bool pin_to(const std::vector<int>& processors);

}  // namespace cadre::launch
