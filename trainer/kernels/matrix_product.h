// C = A·B in fp32: the products of the frozen base, of the adapters and of the head. An element's sum depends on its
// row, its column and k alone: not on the number of threads, on how many rows there are, nor on the processor.
#pragma once

#include <cstdint>

namespace cadre::kernels {

// Element (i, j) is data[i·row_stride + j·column_stride]; one of the strides is 1.
struct ProductOperand {
  const float* data = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;

  ProductOperand transposed() const { return {data, column_stride, row_stride}; }
};

struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0;
};

// C += A·B where `add`, else C = A·B.
struct ProductResult {
  float* data = nullptr;  // [m, n]
  std::int64_t row_stride = 0;
  bool add = false;
};

// A [m, k], B [k, n].
void matrix_product(const ProductShape& shape, const ProductOperand& a, const ProductOperand& b,
                    const ProductResult& c);

}  // namespace cadre::kernels
