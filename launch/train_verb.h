// What leads a run: the launcher's part of `cadre train`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "launch/arguments.h"
#include "launch/boot.h"

namespace cadre::launch {

// Ranks that are there already, which somebody else has started: a user's own mpirun.
struct StandingRanks {
  std::uint32_t ranks = 0;  // 0: there are none, and the run starts its own
  std::vector<std::string> hosts = {};
  std::string token = {};
  // Called once, when they may join.
  std::function<void(const Boot&, const std::filesystem::path& logs)> hand_out = {};
};

// From the command line to the end of the run. Returns its exit code, or throws what went wrong.
int lead_run(Arguments arguments, const StandingRanks& standing);

// A run's secret.
std::string random_token();

}  // namespace cadre::launch
