#include "launch/doctor.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "runtime/error.h"

namespace cadre::launch {
namespace {

using Kind = Finding::Kind;
using runtime::say;

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
// The kernel's names of what x86-64-v3, for which the program is compiled, has beyond x86-64.
constexpr std::array kNeededInstructions{"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"};
constexpr std::uint64_t kMemoryForQuickstart = 4ull << 30;
constexpr std::uint64_t kDiskForSetUp = 4ull << 30;
// Ranks on one host and their data loaders share through /dev/shm; a container's default is 64 MiB.
constexpr std::uint64_t kSharedMemory = 1ull << 30;
constexpr std::uint64_t kOpenFiles = 1024;

std::string gib(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / kGiB);
  return text;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string install(const Machine& machine, const std::string& packages) {
  if (!machine.is_debian) return say("install, with this system's package manager, what Debian calls ", packages);
  return say(machine.is_root ? "" : "sudo ", "apt-get install -y ", packages);
}

Finding processor(const Machine& machine) {
  std::vector<std::string> missing;
  for (const char* name : kNeededInstructions) {
    if (!machine.instructions.contains(name)) missing.push_back(name);
  }
  const std::string what = say(machine.processor, ", ", machine.cores, machine.cores == 1 ? " core" : " cores");
  if (!missing.empty()) {
    return {Kind::kLacks, "processor", say(what, ", without ", join(missing), ": x86-64-v3 is needed"),
            "use a machine with a processor of 2015 or later"};
  }
  const bool has_bf16 = machine.instructions.contains("avx512_bf16") || machine.instructions.contains("amx_bf16");
  return {Kind::kHas, "processor", say(what, has_bf16 ? ", multiplies bf16" : ", bf16 by way of fp32")};
}

Finding pinned_instructions(const Machine& machine) {
  const std::string problem = runtime::problem_of_pins(machine.pins, machine.instructions);
  if (!problem.empty()) {
    return {Kind::kLacks, "instructions", problem, "unset ATEN_CPU_CAPABILITY MKL_CBWR ONEDNN_MAX_CPU_ISA"};
  }
  return {Kind::kHas, "instructions", runtime::shell_words(machine.pins)};
}

Finding gpu(const Machine& machine) {
  if (!machine.gpus.empty() && !machine.gpu_driver.empty()) {
    return {Kind::kHas, "GPU", say(join(machine.gpus), ", driver ", machine.gpu_driver)};
  }
  if (machine.nvidia_on_pci) {
    return {Kind::kCould, "GPU", "an NVIDIA card without its driver",
            install(machine, "nvidia-driver firmware-misc-nonfree")};
  }
  return {Kind::kCould, "GPU", "none: runs use the processor, which is enough for models of up to about 1B parameters"};
}

Finding torch(const Machine& machine) {
  if (machine.torch.empty()) {
    return {Kind::kLacks, "LibTorch", "no torch wheel in .venv", "./launch/quickstart.sh --setup-only"};
  }
  return {Kind::kHas, "LibTorch", machine.torch};
}

Finding tool(const Machine& machine, const char* subject, const char* program, const char* package, Kind without,
             const char* what_for) {
  const auto found = machine.tools.find(program);
  if (found != machine.tools.end()) return {Kind::kHas, subject, found->second};
  return {without, subject, say("no ", program, " in PATH: ", what_for), install(machine, package)};
}

Finding slurm(const Machine& machine) {
  if (machine.in_slurm_job) return {Kind::kHas, "SLURM", "this is inside an allocation"};
  const auto found = machine.tools.find("srun");
  if (found != machine.tools.end()) return {Kind::kHas, "SLURM", found->second};
  return {Kind::kCould, "SLURM", "none: a cluster's scheduler, not needed on one machine"};
}

}  // namespace

std::vector<Finding> diagnose(const Machine& machine) {
  std::vector<Finding> findings;
  const auto amount = [&](const char* subject, std::uint64_t has, std::uint64_t needed, const char* what,
                          const char* mend) {
    if (has >= needed) {
      findings.push_back({Kind::kHas, subject, say(gib(has), what)});
    } else {
      findings.push_back({Kind::kCould, subject, say(gib(has), what, "; ", gib(needed), " or more are advised"), mend});
    }
  };
  findings.push_back({Kind::kHas, "system", machine.system});
  findings.push_back(processor(machine));
  if (findings.back().kind == Kind::kHas && !machine.pins.empty()) findings.push_back(pinned_instructions(machine));
  amount("memory", machine.memory_free_bytes, kMemoryForQuickstart, say(" free of ", gib(machine.memory_bytes)).c_str(),
         "end other programs, or give the container more (docker run --memory 8g)");
  amount("disk", machine.disk_free_bytes, kDiskForSetUp, " free here", "df -h . shows the disk; free some of it");
  amount("shared memory", machine.shared_memory_free_bytes, kSharedMemory, " free in /dev/shm",
         "in a container: docker run --shm-size 2g; else: mount -o remount,size=2g /dev/shm (as root)");
  if (machine.open_files < kOpenFiles) {
    findings.push_back({Kind::kCould, "open files", say(machine.open_files, " a process"), "ulimit -n 4096"});
  } else {
    findings.push_back({Kind::kHas, "open files", say(machine.open_files, " a process")});
  }
  findings.push_back(gpu(machine));
  findings.push_back(torch(machine));
  findings.push_back(tool(machine, "compiler", "g++", "g++", Kind::kLacks, "nothing can be built"));
  findings.push_back(tool(machine, "CMake", "cmake", "cmake", Kind::kLacks, "nothing can be built"));
  findings.push_back(tool(machine, "Ninja", "ninja", "ninja-build", Kind::kLacks, "nothing can be built"));
  findings.push_back(tool(machine, "ccache", "ccache", "ccache", Kind::kCould, "each build starts from nothing"));
  findings.push_back(
      tool(machine, "clang", "clang++-16", "clang-16 libclang-rt-16-dev", Kind::kCould, "only the fuzz tests need it"));
  if (machine.has_parity) {
    findings.push_back({Kind::kHas, "parity", "transformers and peft, which the parity tests compare with"});
  } else {
    findings.push_back({Kind::kCould, "parity", "no transformers or peft in .venv: only the parity tests need them",
                        "./tests/run.sh parity"});
  }
  findings.push_back(tool(machine, "MPI", "mpirun", "openmpi-bin", Kind::kCould, "only runs on several hosts need it"));
  findings.push_back(tool(machine, "ssh", "ssh", "openssh-client", Kind::kCould, "only runs on several hosts need it"));
  findings.push_back(slurm(machine));
  if (!machine.fast_networks.empty()) {
    findings.push_back({Kind::kHas, "network", join(machine.fast_networks)});
  } else {
    findings.push_back({Kind::kCould, "network", "no InfiniBand or RoCE: several hosts would talk over TCP"});
  }
  return findings;
}

int doctor(std::ostream& out) {
  // The program is build*/cadre of the project.
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  bool lacks = false;
  for (const Finding& finding : diagnose(look_at_machine(program.parent_path().parent_path()))) {
    const char* mark = finding.kind == Kind::kHas ? "has  " : finding.kind == Kind::kLacks ? "LACKS" : "     ";
    char start[64];
    std::snprintf(start, sizeof start, "%s  %-13s  ", mark, finding.subject.c_str());
    out << start << finding.found << "\n";
    if (!finding.mend.empty()) out << std::string(22, ' ') << "-> " << finding.mend << "\n";
    lacks = lacks || finding.kind == Kind::kLacks;
  }
  out << (lacks ? "Something is lacking: the commands behind LACKS mend it.\n"
                : "Everything that a run needs is here.\n");
  return lacks ? 2 : 0;
}

}  // namespace cadre::launch
