// What a container or a batch system lets this process use: control groups, version 2.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace cadre::launch {

struct CgroupLimits {
  std::optional<double> cores = {};                     // processor time in a second, by cpu.max
  std::optional<std::uint64_t> memory_bytes = {};       // by memory.max
  std::optional<std::uint64_t> memory_free_bytes = {};  // what its tightest group has left of that
};

// Of the group `own` ("/system.slice/slurmd.scope/job_17", as the line "0::" of /proc/self/cgroup has it) and those
// that it is in, under `root`, where the hierarchy is mounted: the tightest of each. A container may see only its own
// part of the hierarchy, as the root.
CgroupLimits cgroup_limits(const std::filesystem::path& root, const std::string& own);

// Of this process.
CgroupLimits own_cgroup_limits();

}  // namespace cadre::launch
