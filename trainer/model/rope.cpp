#include "trainer/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/error.h"

namespace cadre::model {
namespace {

using model_folder::RopeKind;
using model_folder::RopeSpec;

// θ^(2i/d) in fp32, as transformers computes it: the exponent first.
std::vector<float> powers(double theta, std::int64_t rotary_dim) {
  std::vector<float> result;
  for (std::int64_t i = 0; i < rotary_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rotary_dim);
    result.push_back(std::pow(static_cast<float>(theta), exponent));
  }
  return result;
}

std::vector<float> inverse_of(const std::vector<float>& values) {
  std::vector<float> result;
  for (const float value : values) result.push_back(1.0f / value);
  return result;
}

// Frequencies whose wavelength exceeds the original context turn `factor` times slower; in between, a smooth blend.
std::vector<float> llama3(const RopeSpec& spec) {
  std::vector<float> inverse = inverse_of(powers(spec.theta, spec.rotary_dim));
  const auto original = static_cast<double>(spec.original_max_position_embeddings);
  const double low_wavelength = original / spec.low_freq_factor, high_wavelength = original / spec.high_freq_factor;
  for (float& frequency : inverse) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength > low_wavelength) {
      frequency = static_cast<float>(frequency / spec.factor);
    } else if (wavelength >= high_wavelength) {
      const double smooth =
          (original / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
      frequency = static_cast<float>((1 - smooth) * frequency / spec.factor + smooth * frequency);
    }
  }
  return inverse;
}

double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

RopeFrequencies yarn(const RopeSpec& spec) {
  RopeFrequencies result;
  if (spec.attention_factor) {
    result.attention_factor = static_cast<float>(*spec.attention_factor);
  } else if (spec.mscale.value_or(0) != 0 && spec.mscale_all_dim.value_or(0) != 0) {
    result.attention_factor =
        static_cast<float>(yarn_scale(spec.factor, *spec.mscale) / yarn_scale(spec.factor, *spec.mscale_all_dim));
  } else {
    result.attention_factor = static_cast<float>(yarn_scale(spec.factor, 1));
  }
  const auto dim = static_cast<double>(spec.rotary_dim);
  const auto correction_dim = [&](double rotations) {
    const auto original = static_cast<double>(spec.original_max_position_embeddings);
    return dim * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(spec.theta));
  };
  double low = correction_dim(spec.beta_fast), high = correction_dim(spec.beta_slow);
  if (spec.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const std::vector<float> position_powers = powers(spec.theta, spec.rotary_dim);
  for (std::size_t i = 0; i < position_powers.size(); ++i) {
    const float ramp =
        std::clamp((static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float extrapolated = 1.0f / position_powers[i];
    const float interpolated = 1.0f / (static_cast<float>(spec.factor) * position_powers[i]);
    result.inverse.push_back(interpolated * ramp + extrapolated * (1 - ramp));
  }
  return result;
}

RopeFrequencies longrope(const RopeSpec& spec, std::int64_t length) {
  RopeFrequencies result;
  const auto original = static_cast<double>(spec.original_max_position_embeddings);
  if (spec.attention_factor) {
    result.attention_factor = static_cast<float>(*spec.attention_factor);
  } else if (spec.factor > 1) {
    result.attention_factor = static_cast<float>(std::sqrt(1 + std::log(spec.factor) / std::log(original)));
  }
  const auto& factors = length > spec.original_max_position_embeddings ? spec.long_factor : spec.short_factor;
  const std::vector<float> position_powers = powers(spec.theta, spec.rotary_dim);
  CADRE_CHECK(factors.size() == position_powers.size(), factors.size(), " factors");
  for (std::size_t i = 0; i < factors.size(); ++i) {
    result.inverse.push_back(1.0f / (static_cast<float>(factors[i]) * position_powers[i]));
  }
  return result;
}

// The base grows with the length beyond what the model was trained for ("NTK-aware").
std::vector<float> dynamic(const RopeSpec& spec, std::int64_t length) {
  const auto trained = static_cast<double>(spec.max_position_embeddings);
  const double ratio = static_cast<double>(std::max(length, spec.max_position_embeddings)) / trained;
  const auto dim = static_cast<double>(spec.rotary_dim);
  const double base = spec.theta * std::pow(spec.factor * ratio - (spec.factor - 1), dim / (dim - 2));
  return inverse_of(powers(base, spec.rotary_dim));
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeSpec& spec, std::int64_t length) {
  switch (spec.kind) {
    case RopeKind::kDefault:
      return {inverse_of(powers(spec.theta, spec.rotary_dim)), 1};
    case RopeKind::kLinear: {
      RopeFrequencies result{inverse_of(powers(spec.theta, spec.rotary_dim)), 1};
      for (float& frequency : result.inverse) frequency /= static_cast<float>(spec.factor);
      return result;
    }
    case RopeKind::kDynamic:
      return {dynamic(spec, length), 1};
    case RopeKind::kLlama3:
      return {llama3(spec), 1};
    case RopeKind::kYarn:
      return yarn(spec);
    case RopeKind::kLongrope:
      return longrope(spec, length);
  }
  CADRE_CHECK(false, "rope kind ", static_cast<int>(spec.kind));
  return {};
}

RopeTable rope_table(const RopeSpec& spec, std::span<const RopeRows> documents) {
  RopeTable table;
  const bool by_length = spec.kind == RopeKind::kDynamic || spec.kind == RopeKind::kLongrope;
  RopeFrequencies frequencies;
  std::int64_t known_length = -1;
  for (const RopeRows& document : documents) {
    if (known_length < 0 || (by_length && document.length != known_length)) {
      frequencies = rope_frequencies(spec, document.length);
      known_length = document.length;
    }
    for (std::int64_t i = 0; i < document.rows; ++i) {
      const auto position = static_cast<float>(document.first + i);
      for (const float frequency : frequencies.inverse) {
        table.cos.push_back(std::cos(position * frequency) * frequencies.attention_factor);
        table.sin.push_back(std::sin(position * frequency) * frequencies.attention_factor);
      }
    }
  }
  return table;
}

}  // namespace cadre::model
