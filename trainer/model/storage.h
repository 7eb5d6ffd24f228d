// From LibTorch tensors to the kernels' typed pointers.
#pragma once

#include <ATen/core/Tensor.h>

#include "runtime/error.h"
#include "trainer/kernels/number.h"

namespace cadre::model {

template <typename T>
T* data_of(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

// Calls f(T{}) with T the kernels' element type of `dtype`: float or Bf16.
template <typename F>
void with_element_type(at::ScalarType dtype, F f) {
  if (dtype == at::kFloat) {
    f(float{});
  } else {
    CADRE_CHECK(dtype == at::kBFloat16, "dtype ", static_cast<int>(dtype));
    f(kernels::Bf16{});
  }
}

}  // namespace cadre::model
