// Between safetensors bytes and LibTorch tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "trainer/model/decoder.h"
#include "trainer/model_folder/folder.h"
#include "trainer/safetensors/file.h"

namespace cadre::model {

// A tensor over the mapped bytes where they are aligned for their dtype, else a copy; the view's file must outlive it.
at::Tensor tensor_of(const safetensors::TensorView& view);

// A view of a contiguous CPU tensor's bytes; the tensor must outlive it.
safetensors::TensorView view_of(const at::Tensor& tensor);

// Weights out of a folder, which must outlive the source.
TensorSource source_of(const model_folder::Folder& folder);

// Seeded random weights for a model that starts from its configuration alone: matrices normal with deviation 0.02 (the
// projections back into the residual stream with 0.02 / √(2·layers), Radford et al. 2019), norms neutral, biases 0.
TensorSource random_source(const model_folder::ModelSpec& spec, std::uint64_t seed);

at::ScalarType scalar_type_of(safetensors::Dtype dtype);
// Of what is written: float32, bfloat16, float16 and int64.
safetensors::Dtype dtype_of(at::ScalarType type);

}  // namespace cadre::model
