// The innermost product of matrix_product: a few rows of A times one packed panel of B, held in registers. Built once
// for each width of vector registers; every build adds up an element in the same order, so all give the same bits.
#pragma once

#include <cstdint>

namespace cadre::kernels {

inline constexpr std::int64_t kPanelColumns = 32, kNarrowPanelColumns = 16;
inline constexpr std::int64_t kPanelRows = 14;  // 14 × 2 accumulators of the 32 registers that AVX-512 has

struct PanelProduct {
  std::int64_t rows = 0, k = 0;  // rows ≤ kPanelRows
  const float* a = nullptr;      // element (i, p) is a[i·a_row + p·a_column]
  std::int64_t a_row = 0, a_column = 0;
  const float* b = nullptr;  // [k, panel columns], contiguous
  float* c = nullptr;        // rows of panel columns, c_row apart
  std::int64_t c_row = 0;
  bool add = false;  // C += A·B; else C = A·B
  // Memory that will be read next, fetched into the second cache level meanwhile: one line at each of ahead_count ≤ k
  // places, ahead_stride apart.
  const float* ahead = nullptr;
  std::int64_t ahead_stride = 0, ahead_count = 0;
};

// `narrow`: the panel has kNarrowPanelColumns columns, else kPanelColumns.
using PanelProductFunction = void (*)(const PanelProduct& product, bool narrow);
void panel_product_256(const PanelProduct& product, bool narrow);
void panel_product_512(const PanelProduct& product, bool narrow);  // x86-64 with AVX-512F only

}  // namespace cadre::kernels
