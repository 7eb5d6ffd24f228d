#include "trainer/model/stored_tensor.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <cstring>

#include "runtime/error.h"
#include "trainer/adapter/initialise.h"

namespace cadre::model {

at::ScalarType scalar_type_of(safetensors::Dtype dtype) {
  switch (dtype) {
    case safetensors::Dtype::kBool:
      return at::kBool;
    case safetensors::Dtype::kU8:
      return at::kByte;
    case safetensors::Dtype::kI8:
      return at::kChar;
    case safetensors::Dtype::kI16:
      return at::kShort;
    case safetensors::Dtype::kI32:
      return at::kInt;
    case safetensors::Dtype::kI64:
      return at::kLong;
    case safetensors::Dtype::kF16:
      return at::kHalf;
    case safetensors::Dtype::kBF16:
      return at::kBFloat16;
    case safetensors::Dtype::kF32:
      return at::kFloat;
    case safetensors::Dtype::kF64:
      return at::kDouble;
  }
  CADRE_CHECK(false, "dtype ", static_cast<int>(dtype));
  return at::kFloat;
}

at::Tensor tensor_of(const safetensors::TensorView& view) {
  const at::ScalarType type = scalar_type_of(view.dtype);
  const auto address = reinterpret_cast<std::uintptr_t>(view.bytes.data());
  if (address % c10::elementSize(type) == 0) {
    return at::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape, at::TensorOptions().dtype(type));
  }
  at::Tensor copy = at::empty(view.shape, type);
  std::memcpy(copy.data_ptr(), view.bytes.data(), view.bytes.size());
  return copy;
}

safetensors::Dtype dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return safetensors::Dtype::kF32;
    case at::kBFloat16:
      return safetensors::Dtype::kBF16;
    case at::kHalf:
      return safetensors::Dtype::kF16;
    case at::kLong:
      return safetensors::Dtype::kI64;
    default:
      CADRE_CHECK(false, "dtype ", static_cast<int>(type));
  }
  return safetensors::Dtype::kF32;
}

safetensors::TensorView view_of(const at::Tensor& tensor) {
  CADRE_CHECK(tensor.is_contiguous(), "a tensor to save");
  return {dtype_of(tensor.scalar_type()),
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()}};
}

TensorSource source_of(const model_folder::Folder& folder) {
  return [&folder](const std::string& name, const std::vector<std::int64_t>& shape) {
    const safetensors::TensorView& view = folder.tensor(name);
    CADRE_CHECK(view.shape == shape, name);
    return tensor_of(view);
  };
}

TensorSource random_source(const model_folder::ModelSpec& spec, std::uint64_t seed) {
  const double residual = 0.02 / std::sqrt(2.0 * static_cast<double>(spec.layers.size()));
  const float neutral = spec.norm_weight == model_folder::NormWeight::kOnePlus ? 0.0f : 1.0f;
  return [=, next = std::uint64_t{0}](const std::string& name, const std::vector<std::int64_t>& shape) mutable {
    // Far from the indices of adapter tensors under the same seed.
    const std::uint64_t index = (std::uint64_t{1} << 32) + next++;
    at::Tensor tensor = at::zeros(shape, at::kFloat);
    if (shape.size() == 1) {
      if (name.find("norm") != std::string::npos) tensor.fill_(neutral);
      return tensor;
    }
    const bool into_residual = name.find("o_proj") != std::string::npos || name.find("down_proj") != std::string::npos;
    adapter::fill_normal(tensor, into_residual ? residual : 0.02, seed, index);
    return tensor;
  };
}

}  // namespace cadre::model
