#include "trainer/data/validation_split.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "runtime/error.h"
#include "trainer/random/philox.h"

namespace cadre::data {

std::vector<bool> validation_rows(std::size_t rows, double size, std::uint64_t seed) {
  std::vector<bool> held_out(rows);
  if (size == 0) return held_out;
  if (!(size > 0) || (size >= 1 && size != std::floor(size)))
    throw runtime::UserError(
        runtime::say("val_set_size: expected a fraction below 1 or a whole number of rows, found ", size));
  const double wanted = size < 1 ? std::ceil(size * static_cast<double>(rows)) : size;
  if (!(wanted < static_cast<double>(rows)))
    throw runtime::UserError(
        runtime::say("val_set_size: ", size, " of ", rows, " rows leaves none to train on; lower it or add data"));
  const auto count = static_cast<std::size_t>(wanted);
  // The first `count` steps of a shuffle: each set of that size equally likely.
  std::vector<std::uint32_t> order(rows);
  std::iota(order.begin(), order.end(), 0u);
  random::PhiloxSequence random(seed, 0, random::PhiloxStream::kValidationSplit);
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(order[i], order[i + random.below(static_cast<std::uint32_t>(rows - i))]);
    held_out[order[i]] = true;
  }
  return held_out;
}

}  // namespace cadre::data
