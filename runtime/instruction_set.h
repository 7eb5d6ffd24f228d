// Which instructions the numerical libraries under us may use. Each picks the widest of the processor's, and another
// width can round otherwise: LibTorch's loops, oneDNN's bf16 products and MKL's fp32 products are therefore pinned by
// the variables that they read. Pins are those of the machine where a run begins, or the user's; ranks on other
// machines and later starts take over the same ones. (A narrower default would make all machines alike, at a price:
// bf16 products held to AVX2 take 16 times as long as with AVX-512's own, measured on an EPYC of 2024.)
#pragma once

#include <map>
#include <set>
#include <string>

namespace cadre::runtime {

using InstructionPins = std::map<std::string, std::string>;  // variable -> value

// The pins for the widest that a processor with these flags (as /proc/cpuinfo names them) has; a variable for which it
// has too little is left out.
InstructionPins widest_pins(const std::set<std::string>& processor_flags);

// What the environment holds of the variables that pin.
InstructionPins pins_in_environment();

// What the first pin comes to, as LibTorch names it: "AVX512", "AVX2" or "DEFAULT".
std::string cpu_capability(const InstructionPins& pins);

// Why a processor with these flags cannot do what is pinned, or empty. A value that its library does not know counts:
// the library would ignore it, and nothing would be pinned.
std::string problem_of_pins(const InstructionPins& pins, const std::set<std::string>& processor_flags);

// "ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2 …": as one writes it before a command.
std::string shell_words(const InstructionPins& pins);

}  // namespace cadre::runtime
