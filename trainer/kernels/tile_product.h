// C += A · B on small tiles that lie in the first cache level: the one product that attention is made of.
#pragma once

#include <cstdint>

namespace cadre::kernels {

// Columns of B and C are multiples of this; tiles are padded to it.
inline constexpr std::int64_t kTileColumns = 16;

// C [m, n] += A · B [k, n], n a multiple of kTileColumns; element (i, p) of A is a[i·a_row + p·a_column], so that A may
// be read transposed. Added up in the order of p for every element: the same bits whatever the blocking.
void tile_product(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t a_row,
                  std::int64_t a_column, const float* b, std::int64_t ldb, float* c, std::int64_t ldc);

}  // namespace cadre::kernels
