#include "trainer/model/projection.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>

namespace cadre::model {

std::string peft_name(const std::string& module, const std::string& suffix) {
  return "base_model.model." + module + "." + suffix;
}

at::Tensor Projection::apply(const at::Tensor& x, double lora_dropout, const kernels::DropoutKey& key) const {
  const at::Tensor w = weight.to(x.scalar_type());
  const at::Tensor c = bias.defined() ? bias.to(x.scalar_type()) : bias;
  if (adapted_parts.empty()) return base_linear(x, w, c);
  LoraCall call = lora;
  call.dropout = lora_dropout;
  call.key = key;
  return magnitude.empty() ? lora_linear(x, w, c, lora_a, lora_b, call) : apply_dora(x, w, c, call);
}

at::Tensor Projection::adapted_weight(std::size_t i) const {
  at::NoGradGuard no_grad;
  const LoraSlice& slice = lora.slices[i];
  std::int64_t begin = 0;
  for (std::size_t j = 0; j < i; ++j) begin += lora.slices[j].rank;
  return at::addmm(weight.narrow(0, slice.row_begin, slice.rows).to(at::kFloat), lora_b[i],
                   lora_a.narrow(0, begin, slice.rank), 1, slice.scaling);
}

// y = m/n · (W x + scaling·B A x) + bias with n = ‖W + scaling·B·A‖ a row, a constant of the backward pass. With
// dropout, PEFT adds W x undropped and takes the rest from the dropped input; so do we.
at::Tensor Projection::apply_dora(const at::Tensor& x, const at::Tensor& w, const at::Tensor& c,
                                  const LoraCall& call) const {
  std::vector<at::Tensor> columns;
  const at::Tensor base = base_linear(x, w);
  std::int64_t next_row = 0, rank_begin = 0;
  for (std::size_t i = 0; i < call.slices.size(); ++i) {
    const LoraSlice& slice = call.slices[i];
    if (slice.row_begin > next_row) columns.push_back(base.narrow(1, next_row, slice.row_begin - next_row));
    kernels::DropoutKey key = call.key;
    key.site = slice.site;
    const at::Tensor input = keyed_dropout(x, call.dropout, key);
    const at::Tensor a = lora_a.narrow(0, rank_begin, slice.rank);
    const at::Tensor delta = base_linear(base_linear(input, a), lora_b[i]) * slice.scaling;
    const at::Tensor ratio = (magnitude[i] / at::linalg_vector_norm(adapted_weight(i), 2, {1})).unsqueeze(0);
    const at::Tensor straight = base.narrow(1, slice.row_begin, slice.rows).to(at::kFloat);
    at::Tensor y;
    if (call.dropout > 0) {
      const at::Tensor rows = w.narrow(0, slice.row_begin, slice.rows);
      const at::Tensor through = base_linear(input.to(x.scalar_type()), rows).to(at::kFloat);
      y = straight + (ratio - 1) * through + ratio * delta;
    } else {
      y = ratio * (straight + delta);
    }
    columns.push_back(y.to(x.scalar_type()));
    next_row = slice.row_begin + slice.rows;
    rank_begin += slice.rank;
  }
  if (next_row < w.size(0)) columns.push_back(base.narrow(1, next_row, w.size(0) - next_row));
  const at::Tensor y = columns.size() == 1 ? columns[0] : at::cat(columns, 1);
  return c.defined() ? y + c : y;
}

at::Tensor Projection::merged(std::size_t index) const {
  at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < adapted_parts.size(); ++i) {
    if (adapted_parts[i] != index) continue;
    const at::Tensor adapted = adapted_weight(i);
    if (magnitude.empty()) return adapted;
    return (magnitude[i] / at::linalg_vector_norm(adapted, 2, {1})).unsqueeze(1) * adapted;
  }
  return weight.narrow(0, parts[index].row_begin, parts[index].rows).to(at::kFloat);
}

}  // namespace cadre::model
