// Included by one source file for each width of vector registers; all of it is internal to that file.
#pragma once

#include "trainer/kernels/panel_product.h"

namespace cadre::kernels {
namespace {

template <int Lanes>
struct Vector {
  // Unaligned, and allowed to alias the floats it is read from.
  typedef float Type __attribute__((vector_size(4 * Lanes), aligned(4), may_alias));
};

// Rows × Columns vectors of C in registers, at column `column` of a panel `width` wide.
template <int Lanes, int Rows, int Columns>
void block(const PanelProduct& product, std::int64_t first_row, std::int64_t column, std::int64_t width) {
  using V = typename Vector<Lanes>::Type;
  const float* a = product.a + first_row * product.a_row;
  const float* b = product.b + column;
  const std::int64_t a_row = product.a_row, a_column = product.a_column, k = product.k;
  const float* ahead = product.ahead;
  const std::int64_t ahead_stride = product.ahead_stride, ahead_count = product.ahead_count;
  V sum[Rows][Columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j) sum[i][j] = V{};
  }
  for (std::int64_t p = 0; p < k; ++p) {
    if (p < ahead_count) __builtin_prefetch(ahead + p * ahead_stride, 0, 2);
    V row_of_b[Columns];
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j) row_of_b[j] = *reinterpret_cast<const V*>(b + p * width + j * Lanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const float x = a[i * a_row + p * a_column];
#pragma GCC unroll 2
      for (int j = 0; j < Columns; ++j) sum[i][j] += x * row_of_b[j];
    }
  }
  float* c = product.c + first_row * product.c_row + column;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j) {
      V& target = *reinterpret_cast<V*>(c + i * product.c_row + j * Lanes);
      target = product.add ? target + sum[i][j] : sum[i][j];
    }
  }
}

// The instance of block for `rows` ≤ Rows.
template <int Lanes, int Rows, int Columns>
void block_of(std::int64_t rows, const PanelProduct& product, std::int64_t first_row, std::int64_t column,
              std::int64_t width) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return block<Lanes, Rows, Columns>(product, first_row, column, width);
    block_of<Lanes, Rows - 1, Columns>(rows, product, first_row, column, width);
  }
}

// All rows in blocks of at most Rows, two vectors of columns at a time where the panel has them.
template <int Lanes, int Rows>
void panel(const PanelProduct& product, bool narrow) {
  const std::int64_t width = narrow ? kNarrowPanelColumns : kPanelColumns;
  for (std::int64_t row = 0; row < product.rows; row += Rows) {
    const std::int64_t rows = product.rows - row < Rows ? product.rows - row : Rows;
    std::int64_t column = 0;
    for (; column + 2 * Lanes <= width; column += 2 * Lanes)
      block_of<Lanes, Rows, 2>(rows, product, row, column, width);
    if (column < width) block_of<Lanes, Rows, 1>(rows, product, row, column, width);
  }
}

}  // namespace
}  // namespace cadre::kernels
