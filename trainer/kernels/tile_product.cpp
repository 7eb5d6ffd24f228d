#include "trainer/kernels/tile_product.h"

namespace cadre::kernels {
namespace {

// Eight lanes; unaligned, and allowed to alias the floats they are read from.
typedef float Lanes __attribute__((vector_size(32), aligned(4), may_alias));

// Rows × 16 columns in registers: 6 rows make 12 accumulators of the 16 registers that AVX2 has.
template <int Rows>
void block(std::int64_t k, const float* a, std::int64_t a_row, std::int64_t a_column, const float* b, std::int64_t ldb,
           float* c, std::int64_t ldc) {
  Lanes low[Rows], high[Rows];
  for (int i = 0; i < Rows; ++i) {
    low[i] = *reinterpret_cast<const Lanes*>(c + i * ldc);
    high[i] = *reinterpret_cast<const Lanes*>(c + i * ldc + 8);
  }
  for (std::int64_t p = 0; p < k; ++p) {
    const Lanes b_low = *reinterpret_cast<const Lanes*>(b + p * ldb);
    const Lanes b_high = *reinterpret_cast<const Lanes*>(b + p * ldb + 8);
#pragma GCC unroll 6
    for (int i = 0; i < Rows; ++i) {
      const float x = a[i * a_row + p * a_column];
      low[i] += x * b_low;
      high[i] += x * b_high;
    }
  }
  for (int i = 0; i < Rows; ++i) {
    *reinterpret_cast<Lanes*>(c + i * ldc) = low[i];
    *reinterpret_cast<Lanes*>(c + i * ldc + 8) = high[i];
  }
}

}  // namespace

void tile_product(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t a_row,
                  std::int64_t a_column, const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  for (std::int64_t j = 0; j < n; j += kTileColumns) {
    std::int64_t i = 0;
    for (; i + 6 <= m; i += 6) block<6>(k, a + i * a_row, a_row, a_column, b + j, ldb, c + i * ldc + j, ldc);
    const float* rest_a = a + i * a_row;
    float* rest_c = c + i * ldc + j;
    switch (m - i) {
      case 5:
        block<5>(k, rest_a, a_row, a_column, b + j, ldb, rest_c, ldc);
        break;
      case 4:
        block<4>(k, rest_a, a_row, a_column, b + j, ldb, rest_c, ldc);
        break;
      case 3:
        block<3>(k, rest_a, a_row, a_column, b + j, ldb, rest_c, ldc);
        break;
      case 2:
        block<2>(k, rest_a, a_row, a_column, b + j, ldb, rest_c, ldc);
        break;
      case 1:
        block<1>(k, rest_a, a_row, a_column, b + j, ldb, rest_c, ldc);
        break;
      default:
        break;
    }
  }
}

}  // namespace cadre::kernels
