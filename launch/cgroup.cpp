#include "launch/cgroup.h"

#include <algorithm>
#include <fstream>

namespace cadre::launch {
namespace {

namespace fs = std::filesystem;

// Nothing where the file is not there or says "max".
template <typename Number>
std::optional<Number> number_in(const fs::path& file) {
  std::ifstream in(file);
  Number number{};
  return in >> number ? std::optional(number) : std::nullopt;
}

// "200000 100000": microseconds of processor time in a period.
std::optional<double> cores_in(const fs::path& file) {
  std::ifstream in(file);
  double quota = 0, period = 0;
  return in >> quota >> period && quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

// What cannot be given back at once: files that are kept in memory for later count as free.
std::uint64_t used_by(const fs::path& group) {
  const std::uint64_t current = number_in<std::uint64_t>(group / "memory.current").value_or(0);
  std::ifstream statistics(group / "memory.stat");
  std::string name;
  std::uint64_t files = 0;
  for (std::uint64_t bytes = 0; statistics >> name >> bytes;) {
    if (name == "inactive_file" || name == "active_file") files += bytes;
  }
  return current - std::min(current, files);
}

template <typename Number>
void tighten(std::optional<Number>& limit, std::optional<Number> found) {
  if (found) limit = limit ? std::min(*limit, *found) : *found;
}

}  // namespace

CgroupLimits cgroup_limits(const fs::path& root, const std::string& own) {
  CgroupLimits limits;
  const fs::path relative = fs::path(own).relative_path().lexically_normal();
  const bool is_inside = std::find(relative.begin(), relative.end(), "..") == relative.end();
  fs::path group = is_inside ? root / relative : root;
  for (;; group = group.parent_path()) {
    tighten(limits.cores, cores_in(group / "cpu.max"));
    if (const auto most = number_in<std::uint64_t>(group / "memory.max")) {
      tighten(limits.memory_bytes, most);
      tighten(limits.memory_free_bytes, std::optional(*most - std::min(*most, used_by(group))));
    }
    if (group == root || !group.has_relative_path()) return limits;
  }
}

CgroupLimits own_cgroup_limits() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::/")) return cgroup_limits("/sys/fs/cgroup", line.substr(3));
  }
  return {};
}

}  // namespace cadre::launch
