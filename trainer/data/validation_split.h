// Which rows are held out for validation: a pure function of their number and the seed.
#pragma once

#include <cstdint>
#include <vector>

namespace cadre::data {

// For each of `rows` rows whether it is held out. `size` below 1 is a fraction (rounded up, as scikit-learn and
// datasets do), from 1 on a number of rows; 0 holds out none. UserError where no row would be left to train on.
std::vector<bool> validation_rows(std::size_t rows, double size, std::uint64_t seed);

}  // namespace cadre::data
