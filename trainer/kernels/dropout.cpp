#include "trainer/kernels/dropout.h"

#include <algorithm>

#include "trainer/random/philox.h"

namespace cadre::kernels {

template <typename From, typename To>
void dropout(const DropoutKey& key, float p, std::int64_t n, const From* x, To* y) {
  // A word at or above the threshold keeps its element.
  const auto threshold = static_cast<std::uint32_t>(static_cast<double>(p) * 4294967296.0);
  const float scale = 1.0f / (1.0f - p);
  const std::array<std::uint32_t, 2> philox_key = {
      static_cast<std::uint32_t>(key.seed),
      static_cast<std::uint32_t>(key.seed >> 32) ^ ((key.site + 1) * 0x9E3779B9u)};
  const std::int64_t blocks = (n + 3) / 4;
#pragma omp parallel for schedule(static) if (n > (1 << 14))
  for (std::int64_t b = 0; b < blocks; ++b) {
    const auto words = random::Philox4x32::block({static_cast<std::uint32_t>(b), key.micro_batch, key.step,
                                                  static_cast<std::uint32_t>(random::PhiloxStream::kDropout)},
                                                 philox_key);
    const std::int64_t count = std::min<std::int64_t>(4, n - b * 4);
    for (std::int64_t i = 0; i < count; ++i) {
      const bool kept = words[static_cast<std::size_t>(i)] >= threshold;
      y[b * 4 + i] = from_float<To>(kept ? to_float(x[b * 4 + i]) * scale : 0.0f);
    }
  }
}

template void dropout(const DropoutKey&, float, std::int64_t, const float*, float*);
template void dropout(const DropoutKey&, float, std::int64_t, const Bf16*, float*);

}  // namespace cadre::kernels
