// The seeded state that adapters start from.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/model/parameter_space.h"

namespace cadre::adapter {

// Fills every lora_A tensor; B stays zero, so that the tuned model starts as the base (Hu et al. 2021). kind "true":
// uniform in ±1/√in (Kaiming with a = √5, PEFT's default); "gaussian": normal with deviation 1/rank. A pure function of
// (seed, index of the tensor, element).
void initialise_adapter(const model::ParameterSpace& space, const std::string& kind, std::uint64_t seed);

// Normal values with this deviation, for a model that starts from nothing.
void fill_normal(const at::Tensor& tensor, double deviation, std::uint64_t seed, std::uint64_t index);

}  // namespace cadre::adapter
