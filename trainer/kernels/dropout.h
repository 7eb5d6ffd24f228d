// Inverted dropout whose mask is a pure function of where it is used: no state, the same on every rank and at every
// try.
#pragma once

#include <cstdint>

#include "trainer/kernels/number.h"

namespace cadre::kernels {

// Names one mask: DESIGN's key (seed, step, micro-batch, site); the element's index is the rest.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint32_t step = 0, micro_batch = 0, site = 0;
};

// y[i] = x[i] / (1 − p) where the mask keeps i, else 0; 0 < p < 1. y may be x. Applied to a gradient it is its own
// backward pass.
template <typename From, typename To>
void dropout(const DropoutKey& key, float p, std::int64_t n, const From* x, To* y);

}  // namespace cadre::kernels
