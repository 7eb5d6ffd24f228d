#include "launch/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "launch/cgroup.h"

namespace cadre::launch {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

// The text after `key` and its separator in a file of lines such as "model name\t: AMD EPYC" or "NAME=\"x\"".
std::string value_of(const fs::path& path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find(separator);
    if (at == line.npos || !line.starts_with(key)) continue;
    if (line.find_first_not_of(" \t", key.size()) != at) continue;
    std::string value = line.substr(at + 1);
    const auto is_wrapping = [](char c) { return c == ' ' || c == '\t' || c == '"'; };
    value.erase(value.begin(), std::find_if_not(value.begin(), value.end(), is_wrapping));
    value.erase(std::find_if_not(value.rbegin(), value.rend(), is_wrapping).base(), value.end());
    return value;
  }
  return "";
}

std::uint64_t count_in(const std::string& text) {
  std::uint64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

std::uint64_t free_bytes(const char* path) {
  struct statvfs disk;
  return ::statvfs(path, &disk) == 0 ? disk.f_bavail * disk.f_frsize : 0;
}

void look_at_processor(Machine& machine) {
  machine.processor = value_of("/proc/cpuinfo", "model name", ':');
  machine.instructions = processor_instructions();
  machine.pins = runtime::pins_in_environment();
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    machine.cores = static_cast<std::uint64_t>(CPU_COUNT(&allowed));
  } else {
    machine.cores = static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  }
}

void look_at_memory(Machine& machine) {
  machine.memory_bytes = count_in(value_of("/proc/meminfo", "MemTotal", ':')) * 1024;
  machine.memory_free_bytes = count_in(value_of("/proc/meminfo", "MemAvailable", ':')) * 1024;
}

void look_at_limits(Machine& machine) {
  const CgroupLimits limits = own_cgroup_limits();
  if (limits.cores && *limits.cores < static_cast<double>(machine.cores)) {
    machine.cores = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(*limits.cores));
  }
  if (limits.memory_bytes) machine.memory_bytes = std::min(machine.memory_bytes, *limits.memory_bytes);
  if (limits.memory_free_bytes) {
    machine.memory_free_bytes = std::min(machine.memory_free_bytes, *limits.memory_free_bytes);
  }
}

void look_at_gpus(Machine& machine) {
  std::error_code error;
  for (fs::directory_iterator gpu("/proc/driver/nvidia/gpus", error), end; !error && gpu != end; gpu.increment(error)) {
    machine.gpus.push_back(value_of(gpu->path() / "information", "Model", ':'));
  }
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul …": the first word with two points.
  std::istringstream words(first_line("/proc/driver/nvidia/version"));
  for (std::string word; machine.gpu_driver.empty() && words >> word;) {
    if (word.find_first_not_of("0123456789.") == word.npos) machine.gpu_driver = word;
  }
  for (fs::directory_iterator device("/sys/bus/pci/devices", error), end; !error && device != end;
       device.increment(error)) {
    const bool is_display = first_line(device->path() / "class").starts_with("0x03");
    if (is_display && first_line(device->path() / "vendor") == "0x10de") machine.nvidia_on_pci = true;
  }
  for (fs::directory_iterator device("/sys/class/infiniband", error), end; !error && device != end;
       device.increment(error)) {
    machine.fast_networks.push_back(device->path().filename().string());
  }
}

void look_for_tools(Machine& machine) {
  const char* path = std::getenv("PATH");
  for (const char* tool :
       {"g++", "cmake", "ninja", "ccache", "clang++-16", "mpirun", "srun", "ssh", "git", "apt-get"}) {
    std::istringstream folders(path ? path : "");
    for (std::string folder; std::getline(folders, folder, ':') && !machine.tools.contains(tool);) {
      const fs::path candidate = fs::path(folder) / tool;
      if (::access(candidate.c_str(), X_OK) == 0) machine.tools[tool] = candidate.string();
    }
  }
}

void look_at_environment(Machine& machine, const fs::path& project) {
  std::error_code error;
  for (fs::directory_iterator python(project / ".venv/lib", error), end; !error && python != end;
       python.increment(error)) {
    const fs::path packages = python->path() / "site-packages";
    std::string version = value_of(packages / "torch/version.py", "__version__", '=');
    std::erase(version, '\'');
    if (!version.empty()) machine.torch = version;
    if (fs::exists(packages / "transformers") && fs::exists(packages / "peft")) machine.has_parity = true;
  }
}

}  // namespace

std::set<std::string> processor_instructions() {
  std::istringstream flags(value_of("/proc/cpuinfo", "flags", ':'));
  return {std::istream_iterator<std::string>(flags), {}};
}

Machine look_at_machine(const fs::path& project) {
  Machine machine;
  machine.system = value_of("/etc/os-release", "PRETTY_NAME", '=');
  machine.is_root = ::geteuid() == 0;
  machine.in_slurm_job = std::getenv("SLURM_JOB_ID") != nullptr;
  look_at_processor(machine);
  look_at_memory(machine);
  look_at_limits(machine);
  machine.disk_free_bytes = free_bytes(".");
  machine.shared_memory_free_bytes = free_bytes("/dev/shm");
  struct rlimit files;
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) machine.open_files = files.rlim_cur;
  look_at_gpus(machine);
  look_for_tools(machine);
  machine.is_debian = machine.tools.contains("apt-get");
  look_at_environment(machine, project);
  return machine;
}

}  // namespace cadre::launch
