#include "launch/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <sstream>

namespace cadre::launch {
namespace {

using Kind = Finding::Kind;
using testing::HasSubstr;

Machine good_machine() {
  return {.system = "Debian GNU/Linux 12 (bookworm)",
          .is_debian = true,
          .is_root = false,
          .processor = "A processor",
          .instructions = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"},
          .pins = {{"ATEN_CPU_CAPABILITY", "avx2"}},
          .cores = 8,
          .memory_bytes = 64ull << 30,
          .memory_free_bytes = 60ull << 30,
          .disk_free_bytes = 100ull << 30,
          .shared_memory_free_bytes = 32ull << 30,
          .open_files = 1 << 20,
          .gpus = {"NVIDIA H200"},
          .gpu_driver = "580.1",
          .nvidia_on_pci = true,
          .fast_networks = {"mlx5_0"},
          .tools = {{"g++", "/usr/bin/g++"},
                    {"cmake", "/usr/bin/cmake"},
                    {"ninja", "/usr/bin/ninja"},
                    {"ccache", "/usr/bin/ccache"},
                    {"clang++-16", "/usr/bin/clang++-16"},
                    {"mpirun", "/usr/bin/mpirun"},
                    {"srun", "/usr/bin/srun"},
                    {"ssh", "/usr/bin/ssh"}},
          .torch = "2.11.0",
          .has_parity = true};
}

TEST(Doctor, HasNothingToSayOfAMachineThatHasAll) {
  for (const Finding& finding : diagnose(good_machine())) {
    EXPECT_EQ(finding.kind, Kind::kHas) << finding.subject;
    EXPECT_EQ(finding.mend, "") << finding.subject;
    EXPECT_NE(finding.found, "") << finding.subject;
  }
}

TEST(Doctor, NamesEachLackAndWhatMendsIt) {
  const struct {
    const char* subject;
    std::function<void(Machine&)> take_away;
    Kind kind;
    const char *found, *mend;
  } cases[] = {
      {"processor", [](Machine& m) { m.instructions.erase("fma"); }, Kind::kLacks, "without fma", "processor of 2015"},
      {"instructions", [](Machine& m) { m.pins["ATEN_CPU_CAPABILITY"] = "avx512"; }, Kind::kLacks, "lacks avx512f",
       "unset ATEN_CPU_CAPABILITY"},
      {"memory", [](Machine& m) { m.memory_free_bytes = 1 << 30; }, Kind::kCould, "1.0 GiB free of 64.0", "--memory"},
      {"disk", [](Machine& m) { m.disk_free_bytes = 0; }, Kind::kCould, "0.0 GiB", "df -h"},
      {"shared memory", [](Machine& m) { m.shared_memory_free_bytes = 64 << 20; }, Kind::kCould, "0.1", "--shm-size"},
      {"open files", [](Machine& m) { m.open_files = 256; }, Kind::kCould, "256", "ulimit -n"},
      {"GPU", [](Machine& m) { m.gpu_driver = "", m.gpus = {}; }, Kind::kCould, "without its driver",
       "sudo apt-get install -y nvidia-driver"},
      {"GPU", [](Machine& m) { m.gpus = {}, m.nvidia_on_pci = false; }, Kind::kCould, "none", ""},
      {"LibTorch", [](Machine& m) { m.torch = ""; }, Kind::kLacks, ".venv", "./launch/quickstart.sh --setup-only"},
      {"compiler", [](Machine& m) { m.tools.erase("g++"); }, Kind::kLacks, "no g++", "sudo apt-get install -y g++"},
      {"compiler", [](Machine& m) { m.tools.erase("g++"), m.is_root = true; }, Kind::kLacks, "no g++",
       "apt-get install -y g++"},
      {"compiler", [](Machine& m) { m.tools.erase("g++"), m.is_debian = false; }, Kind::kLacks, "no g++",
       "this system's package manager"},
      {"Ninja", [](Machine& m) { m.tools.erase("ninja"); }, Kind::kLacks, "no ninja", "ninja-build"},
      {"MPI", [](Machine& m) { m.tools.erase("mpirun"); }, Kind::kCould, "no mpirun", "openmpi-bin"},
      {"ssh", [](Machine& m) { m.tools.erase("ssh"); }, Kind::kCould, "no ssh", "openssh-client"},
      {"SLURM", [](Machine& m) { m.tools.erase("srun"); }, Kind::kCould, "none", ""},
      {"parity", [](Machine& m) { m.has_parity = false; }, Kind::kCould, "no transformers", "./tests/run.sh parity"},
      {"network", [](Machine& m) { m.fast_networks = {}; }, Kind::kCould, "TCP", ""},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(std::string(one.subject) + ": " + one.found);
    Machine machine = good_machine();
    one.take_away(machine);
    int lacks = 0;
    for (const Finding& finding : diagnose(machine)) {
      if (finding.kind == Kind::kHas) continue;
      ++lacks;
      EXPECT_EQ(finding.subject, one.subject);
      EXPECT_EQ(finding.kind, one.kind);
      EXPECT_THAT(finding.found, HasSubstr(one.found));
      EXPECT_THAT(finding.mend, HasSubstr(one.mend));
    }
    EXPECT_EQ(lacks, 1);
  }
}

TEST(Doctor, LooksAtThisMachine) {
  const Machine machine = look_at_machine(CADRE_SOURCE_DIR);
  EXPECT_GE(machine.cores, 1u);
  EXPECT_GT(machine.memory_bytes, 1ull << 28);
  EXPECT_GT(machine.memory_free_bytes, 0u);
  EXPECT_LE(machine.memory_free_bytes, machine.memory_bytes);
  EXPECT_TRUE(machine.instructions.contains("sse2"));
  EXPECT_NE(machine.system, "");
  std::ostringstream out;
  const int code = doctor(out);
  EXPECT_TRUE(code == 0 || code == 2);
  EXPECT_THAT(out.str(), HasSubstr("processor"));
}

}  // namespace
}  // namespace cadre::launch
