#include "trainer/model/product.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "trainer/kernels/matrix_product.h"
#include "trainer/model/storage.h"

namespace cadre::model {
namespace {

kernels::ProductOperand operand(const at::Tensor& x) {
  CADRE_CHECK(x.dim() == 2 && (x.stride(0) == 1 || x.stride(1) == 1), "strides of a matrix: ", x.stride(0), ", ",
              x.stride(1));
  return {data_of<float>(x), x.stride(0), x.stride(1)};
}

void multiply_fp32(const at::Tensor& a, const at::Tensor& b, const at::Tensor& result, bool add) {
  CADRE_CHECK(a.size(1) == b.size(0) && result.size(0) == a.size(0) && result.size(1) == b.size(1), "a product of ",
              a.size(0), " × ", a.size(1), " and ", b.size(0), " × ", b.size(1));
  CADRE_CHECK(a.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat && result.scalar_type() == at::kFloat &&
                  result.stride(1) == 1,
              "operands in fp32, rows of the result contiguous");
  kernels::matrix_product({.m = a.size(0), .n = b.size(1), .k = a.size(1)}, operand(a), operand(b),
                          {.data = data_of<float>(result), .row_stride = result.stride(0), .add = add});
}

}  // namespace

void multiply(const at::Tensor& a, const at::Tensor& b, const at::Tensor& result) {
  if (result.scalar_type() == at::kFloat) return multiply_fp32(a, b, result, false);
  at::Tensor target = result;
  at::mm_out(target, a, b);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor result = at::empty({a.size(0), b.size(1)}, a.options());
  multiply(a, b, result);
  return result;
}

void add_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& result) {
  multiply_fp32(a, b, result, true);
}

at::Tensor base_output(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (x.scalar_type() != at::kFloat) return at::linear(x, weight, bias);
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  if (bias) y.copy_(bias->expand_as(y));
  multiply_fp32(x, weight.t(), y, bias.has_value());
  return y;
}

}  // namespace cadre::model
