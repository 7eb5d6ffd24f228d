// What this machine has, as far as a run cares. Looking changes nothing and starts no program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/instruction_set.h"

namespace cadre::launch {

struct Machine {
  std::string system = {};  // "Debian GNU/Linux 12 (bookworm)"
  bool is_debian = false;   // apt-get is there
  bool is_root = false;
  std::string processor = {};               // "AMD EPYC 7763"
  std::set<std::string> instructions = {};  // the kernel's names: "avx2", "avx512_bf16"
  runtime::InstructionPins pins = {};       // in the environment, where `main` has put them
  std::uint64_t cores = 0;                  // that this process may use
  std::uint64_t memory_bytes = 0;           // of the machine, or what the container may use
  std::uint64_t memory_free_bytes = 0;
  std::uint64_t disk_free_bytes = 0;              // where the command runs
  std::uint64_t shared_memory_free_bytes = 0;     // /dev/shm
  std::uint64_t open_files = 0;                   // that a process may have
  std::vector<std::string> gpus = {};             // "NVIDIA H200", as the driver names them
  std::string gpu_driver = {};                    // its version; empty without one
  bool nvidia_on_pci = false;                     // a card of NVIDIA's, driver or none
  std::vector<std::string> fast_networks = {};    // InfiniBand and RoCE devices
  std::map<std::string, std::string> tools = {};  // program -> its path, for those in PATH
  bool in_slurm_job = false;
  std::string torch = {};   // version of the wheel in .venv; empty without one
  bool has_parity = false;  // .venv holds the reference of the parity tests
};

// The kernel's names of what the processor can do.
std::set<std::string> processor_instructions();

// `project` is the repository's root, where .venv is.
Machine look_at_machine(const std::filesystem::path& project);

}  // namespace cadre::launch
