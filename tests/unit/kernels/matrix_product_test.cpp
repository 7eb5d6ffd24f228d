#include "trainer/kernels/matrix_product.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "trainer/kernels/panel_product.h"

namespace cadre::kernels {
namespace {

std::vector<float> normals(std::int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

// A matrix and how it lies: element (i, j) is at(i, j) whichever of its dimensions is contiguous.
struct Matrix {
  std::vector<float> values;
  std::int64_t rows, columns;
  bool transposed;

  Matrix(std::int64_t m, std::int64_t n, bool t, unsigned seed)
      : values(normals(m * n, seed)), rows(m), columns(n), transposed(t) {}
  ProductOperand operand() const {
    return transposed ? ProductOperand{values.data(), 1, rows} : ProductOperand{values.data(), columns, 1};
  }
  double at(std::int64_t i, std::int64_t j) const {
    return values[static_cast<std::size_t>(transposed ? j * rows + i : i * columns + j)];
  }
};

std::vector<float> product_of(const Matrix& a, const Matrix& b) {
  std::vector<float> c(static_cast<std::size_t>(a.rows * b.columns), std::nanf(""));
  matrix_product({a.rows, b.columns, a.columns}, a.operand(), b.operand(), {.data = c.data(), .row_stride = b.columns});
  return c;
}

struct Threads {
  explicit Threads(int threads) : before(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~Threads() { omp_set_num_threads(before); }
  int before;
};

TEST(MatrixProduct, EqualsItsDefinition) {
  // Rows, columns and depth around the edges of blocks, panels and depths.
  const ProductShape shapes[] = {{1, 1, 1},    {14, 32, 8},  {15, 33, 7},   {13, 16, 385}, {29, 17, 384}, {5, 8, 770},
                                 {100, 8, 24}, {8, 100, 50}, {460, 40, 31}, {3, 450, 20},  {2, 3, 0}};
  unsigned seed = 1;
  for (const ProductShape& shape : shapes) {
    for (int variant = 0; variant < 8; ++variant) {
      const bool a_transposed = variant & 1, b_transposed = variant & 2, add = variant & 4;
      const Matrix a(shape.m, shape.k, a_transposed, seed++), b(shape.k, shape.n, b_transposed, seed++);
      // Rows of C with a gap between them, which stays as it was.
      const std::int64_t stride = shape.n + 3;
      const std::vector<float> before = normals(shape.m * stride, seed++);
      std::vector<float> c = before;
      matrix_product(shape, a.operand(), b.operand(), {.data = c.data(), .row_stride = stride, .add = add});
      for (std::int64_t i = 0; i < shape.m; ++i) {
        for (std::int64_t j = 0; j < stride; ++j) {
          const auto index = static_cast<std::size_t>(i * stride + j);
          if (j >= shape.n) {
            ASSERT_EQ(c[index], before[index]);
            continue;
          }
          double sum = 0, size = 0;
          for (std::int64_t p = 0; p < shape.k; ++p) {
            sum += a.at(i, p) * b.at(p, j);
            size += std::fabs(a.at(i, p) * b.at(p, j));
          }
          const double exact = sum + (add ? before[index] : 0.0);
          ASSERT_NEAR(c[index], exact, 1e-6 * (size + 1)) << shape.m << " x " << shape.n << " x " << shape.k
                                                          << ", variant " << variant << ", at " << i << ", " << j;
        }
      }
    }
  }
}

TEST(MatrixProduct, ThreadsAndRowsChangeNoBit) {
  for (const bool transposed : {false, true}) {
    const Matrix a(150, 500, false, 1), b(500, 300, transposed, 2);
    std::vector<float> alone;
    {
      const Threads one(1);
      alone = product_of(a, b);
    }
    for (const int threads : {2, 3, 4, 7}) {
      const Threads several(threads);
      EXPECT_EQ(product_of(a, b), alone) << threads << " threads";
    }
    Matrix first = a;
    first.rows = 17;
    EXPECT_EQ(product_of(first, b), std::vector<float>(alone.begin(), alone.begin() + 17 * 300));
  }
}

TEST(MatrixProduct, WhatIsNotFiniteStaysInItsRowAndColumn) {
  Matrix a(20, 40, false, 1);
  a.values[3 * 40 + 5] = std::numeric_limits<float>::infinity();
  Matrix b(40, 50, false, 2);
  b.values[7 * 50 + 49] = std::nanf("");
  const std::vector<float> c = product_of(a, b);
  for (std::size_t i = 0; i < c.size(); ++i) EXPECT_EQ(std::isfinite(c[i]), i / 50 != 3 && i % 50 != 49) << i;
}

#if defined(__x86_64__)
TEST(PanelProduct, BothWidthsOfRegistersGiveTheSameBits) {
  if (!__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "this processor has no AVX-512";
  const std::vector<float> a = normals(kPanelRows * 100, 1), b = normals(100 * kPanelColumns, 2);
  for (const bool narrow : {false, true}) {
    for (const bool add : {false, true}) {
      for (std::int64_t rows = 1; rows <= kPanelRows; ++rows) {
        std::vector<float> c_256 = normals(kPanelRows * kPanelColumns, 3), c_512 = c_256;
        PanelProduct product{.rows = rows,
                             .k = 100,
                             .a = a.data(),
                             .a_row = 100,
                             .a_column = 1,
                             .b = b.data(),
                             .c = c_256.data(),
                             .c_row = kPanelColumns,
                             .add = add};
        panel_product_256(product, narrow);
        product.c = c_512.data();
        panel_product_512(product, narrow);
        EXPECT_EQ(c_256, c_512) << rows << " rows";
      }
    }
  }
}
#endif

}  // namespace
}  // namespace cadre::kernels
