// Matrix products between tensors: fp32 by trainer/kernels, whose bits no thread count changes; bf16 by LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace cadre::model {

// result [m, n] = A·B; A [m, k], B [k, n], each a view whose rows or columns are contiguous. All of one dtype.
void multiply(const at::Tensor& a, const at::Tensor& b, const at::Tensor& result);
// The same as a new tensor.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);
// result += A·B, fp32 only.
void add_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& result);

// x W^T + bias; x [rows, in], W [out, in], without a gradient.
at::Tensor base_output(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

}  // namespace cadre::model
