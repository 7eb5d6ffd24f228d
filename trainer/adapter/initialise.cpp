#include "trainer/adapter/initialise.h"

#include <cmath>
#include <numbers>

#include "runtime/error.h"
#include "trainer/random/philox.h"

namespace cadre::adapter {
namespace {

random::PhiloxSequence numbers_of(std::uint64_t seed, std::uint64_t index) {
  return {seed, index, random::PhiloxStream::kInitialisation};
}

// Uniform in (0, 1), 24 bits: exact in fp32, never 0 or 1.
float unit(random::PhiloxSequence& numbers) {
  return (static_cast<float>(numbers.next() >> 8) + 0.5f) * 0x1p-24f;
}

}  // namespace

void fill_normal(const at::Tensor& tensor, double deviation, std::uint64_t seed, std::uint64_t index) {
  CADRE_CHECK(tensor.is_contiguous() && tensor.scalar_type() == at::kFloat, "tensor ", index);
  random::PhiloxSequence numbers = numbers_of(seed, index);
  auto* values = static_cast<float*>(tensor.data_ptr());
  // Box and Muller 1958, both values of a pair.
  for (std::int64_t i = 0; i < tensor.numel(); i += 2) {
    const double radius = deviation * std::sqrt(-2.0 * std::log(static_cast<double>(unit(numbers))));
    const double angle = 2 * std::numbers::pi * static_cast<double>(unit(numbers));
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < tensor.numel()) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

void initialise_adapter(const model::ParameterSpace& space, const std::string& kind, std::uint64_t seed) {
  for (std::size_t i = 0; i < space.parameters().size(); ++i) {
    const model::Parameter& parameter = space.parameters()[i];
    if (!parameter.name.ends_with(".lora_A.weight")) continue;
    const at::Tensor tensor = space.value_of(parameter);
    if (kind == "gaussian") {
      fill_normal(tensor, 1.0 / static_cast<double>(parameter.shape[0]), seed, i);
      continue;
    }
    CADRE_CHECK(kind == "true", "init_lora_weights ", kind);
    random::PhiloxSequence numbers = numbers_of(seed, i);
    const float bound = 1.0f / std::sqrt(static_cast<float>(parameter.shape[1]));
    auto* values = static_cast<float*>(tensor.data_ptr());
    for (std::int64_t j = 0; j < tensor.numel(); ++j) values[j] = (2 * unit(numbers) - 1) * bound;
  }
}

}  // namespace cadre::adapter
