#include "runtime/instruction_set.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::runtime {
namespace {

using Flags = std::vector<const char*>;

struct Level {
  const char* value;
  Flags needs;
};

struct Variable {
  const char* name;
  std::vector<Level> levels;  // the best last
};

Flags operator+(Flags flags, const Flags& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

// Values and what they need, as the sources of the libraries have them (ATen's DispatchStub.cpp, oneDNN's
// cpu_isa_traits.hpp, MKL's manual on conditional numerical reproducibility). What a library finds by itself (oneDNN's
// ALL, MKL's AUTO) pins nothing and is not among them. MKL's COMPATIBLE halves the speed: only for who asks for it.
const std::vector<Variable>& variables() {
  static const Flags avx2 = {"avx2", "fma"};
  static const Flags avx512 = avx2 + Flags{"avx512f", "avx512bw", "avx512dq", "avx512vl"};
  static const Flags bf16 = avx512 + Flags{"avx512_vnni", "avx512_bf16"};
  static const Flags fp16 = bf16 + Flags{"avx512_fp16"};
  static const Flags amx = fp16 + Flags{"amx_tile", "amx_int8", "amx_bf16"};
  static const std::vector<Variable> all = {
      {"ATEN_CPU_CAPABILITY", {{"avx2", avx2}, {"avx512", avx512}}},
      {"MKL_CBWR",
       {{"COMPATIBLE", avx2}, {"AVX2,STRICT", avx2}, {"AVX2", avx2}, {"AVX512,STRICT", avx512}, {"AVX512", avx512}}},
      {"ONEDNN_MAX_CPU_ISA",
       {{"AVX2", avx2},
        {"AVX512_CORE", avx512},
        {"AVX512_CORE_VNNI", avx512 + Flags{"avx512_vnni"}},
        {"AVX512_CORE_BF16", bf16},
        {"AVX512_CORE_FP16", fp16},
        {"AVX512_CORE_AMX", amx},
        {"AVX512_CORE_AMX_FP16", amx + Flags{"amx_fp16"}}}},
  };
  return all;
}

std::string lacking(const Flags& needs, const std::set<std::string>& flags) {
  std::string names;
  for (const char* need : needs) {
    if (!flags.contains(need)) names += (names.empty() ? "" : ", ") + std::string(need);
  }
  return names;
}

}  // namespace

InstructionPins widest_pins(const std::set<std::string>& processor_flags) {
  InstructionPins pins;
  for (const Variable& variable : variables()) {
    for (const Level& level : variable.levels) {
      if (lacking(level.needs, processor_flags).empty()) pins[variable.name] = level.value;
    }
  }
  return pins;
}

InstructionPins pins_in_environment() {
  InstructionPins pins;
  for (const Variable& variable : variables()) {
    if (const char* value = std::getenv(variable.name)) pins[variable.name] = value;
  }
  return pins;
}

std::string cpu_capability(const InstructionPins& pins) {
  const auto pin = pins.find("ATEN_CPU_CAPABILITY");
  std::string name = pin == pins.end() ? "default" : pin->second;
  for (char& letter : name) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return name;
}

std::string problem_of_pins(const InstructionPins& pins, const std::set<std::string>& processor_flags) {
  for (const Variable& variable : variables()) {
    const auto pin = pins.find(variable.name);
    if (pin == pins.end()) continue;
    const auto level = std::find_if(variable.levels.begin(), variable.levels.end(),
                                    [&](const Level& one) { return pin->second == one.value; });
    if (level == variable.levels.end()) {
      std::string known;
      for (const Level& one : variable.levels) known += (known.empty() ? "" : ", ") + std::string(one.value);
      return say(variable.name, ": expected one of ", known, ", found ", in_quotes(pin->second),
                 "; unset it, and this machine's is taken");
    }
    const std::string missing = lacking(level->needs, processor_flags);
    if (missing.empty()) continue;
    const InstructionPins widest = widest_pins(processor_flags);
    const auto most = widest.find(variable.name);
    return say(variable.name, "=", pin->second, ": this processor lacks ", missing, "; ",
               most == widest.end() ? "use another machine" : "the most that it can is " + most->second);
  }
  return "";
}

std::string shell_words(const InstructionPins& pins) {
  std::string words;
  for (const auto& [name, value] : pins) words += (words.empty() ? "" : " ") + name + "=" + value;
  return words;
}

}  // namespace cadre::runtime
