#include "trainer/model/held.h"
#include "trainer/model/operators.h"
#include "trainer/model/product.h"
#include "trainer/model/storage.h"

namespace cadre::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor in_fp32(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? x : x.to(at::kFloat);
}

kernels::DropoutKey key_of(const LoraCall& call, const LoraSlice& slice) {
  kernels::DropoutKey key = call.key;
  key.site = slice.site;
  return key;
}

at::Tensor dropped(const at::Tensor& x, const LoraCall& call, const LoraSlice& slice) {
  at::Tensor y = at::empty_like(x);
  kernels::dropout(key_of(call, slice), static_cast<float>(call.dropout), x.numel(), data_of<float>(x),
                   data_of<float>(y));
  return y;
}

// One node for base and adapters together: the input is kept once, the adapters' part is added in place.
struct LoraLinear : Function<LoraLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, const at::Tensor& a, at::TensorList b,
                            const LoraCall& call) {
    const at::Tensor x = input.contiguous();
    at::Tensor y = base_output(x, weight, bias);
    const at::Tensor x_fp32 = in_fp32(x);
    // scaling · x A^T; of all slices one product where no dropout makes their inputs differ.
    at::Tensor xa = at::empty({x.size(0), a.size(0)}, x_fp32.options());
    if (call.dropout == 0) multiply(x_fp32, a.t(), xa);
    std::int64_t column = 0;
    for (std::size_t i = 0; i < call.slices.size(); ++i) {
      const LoraSlice& slice = call.slices[i];
      at::Tensor part = xa.narrow(1, column, slice.rank);
      if (call.dropout > 0) multiply(dropped(x_fp32, call, slice), a.narrow(0, column, slice.rank).t(), part);
      part.mul_(slice.scaling);
      at::Tensor target = y.narrow(1, slice.row_begin, slice.rows);
      if (y.scalar_type() == at::kFloat) {
        add_product(part, b[i].t(), target);
      } else {
        // bf16 base output plus fp32 adapter output, rounded once, as PEFT does.
        target.copy_(product(part, b[i].t()).add_(target));
      }
      column += slice.rank;
    }
    variable_list saved{x, weight, a, xa};
    saved.insert(saved.end(), b.begin(), b.end());
    context->save_for_backward(std::move(saved));
    hold(context, call);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &a = saved[2], &xa = saved[3];
    const LoraCall& call = held<LoraCall>(context);
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor x_fp32 = in_fp32(x), dy_fp32 = in_fp32(dy);
    const bool needs_dx = context->needs_input_grad(0);

    variable_list result(4 + call.slices.size() + 1);
    at::Tensor d_xa = at::empty_like(xa), da = at::empty_like(a), dx_adapter;
    std::int64_t column = 0;
    for (std::size_t i = 0; i < call.slices.size(); ++i) {
      const LoraSlice& slice = call.slices[i];
      const at::Tensor& b = saved[4 + i];
      const at::Tensor dy_slice = dy_fp32.narrow(1, slice.row_begin, slice.rows);
      // As the product of the narrow matrix with the wide one: the wide one is read once, as it lies.
      result[4 + i] = product(xa.narrow(1, column, slice.rank).t(), dy_slice).t();
      at::Tensor d_part = d_xa.narrow(1, column, slice.rank);
      multiply(dy_slice, b, d_part);
      d_part.mul_(slice.scaling);
      if (call.dropout > 0) {
        const at::Tensor a_slice = a.narrow(0, column, slice.rank);
        multiply(d_part.t(), dropped(x_fp32, call, slice), da.narrow(0, column, slice.rank));
        if (needs_dx) {
          const at::Tensor through = dropped(product(d_part, a_slice), call, slice);
          dx_adapter = dx_adapter.defined() ? dx_adapter.add_(through) : through;
        }
      }
      column += slice.rank;
    }
    if (call.dropout == 0) multiply(d_xa.t(), x_fp32, da);
    result[3] = da;
    if (needs_dx) {
      at::Tensor dx = product(dy, weight);
      if (call.dropout > 0) {
        dx = dx_adapter.add_(dx).to(dx.scalar_type());
      } else if (dx.scalar_type() == at::kFloat) {
        add_product(d_xa, a, dx);
      } else {
        const at::Tensor sum = dx.to(at::kFloat);
        add_product(d_xa, a, sum);
        dx = sum.to(dx.scalar_type());
      }
      result[0] = dx;
    }
    return result;
  }
};

}  // namespace

at::Tensor lora_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& a,
                       const std::vector<at::Tensor>& b, const LoraCall& call) {
  const std::optional<at::Tensor> optional_bias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  return LoraLinear::apply(x, weight, optional_bias, a, at::TensorList(b), call);
}

}  // namespace cadre::model
