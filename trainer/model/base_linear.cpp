#include <torch/csrc/autograd/custom_function.h>

#include "trainer/model/operators.h"
#include "trainer/model/product.h"

namespace cadre::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct BaseLinear : Function<BaseLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    const at::Tensor x = input.contiguous();
    context->save_for_backward({x, weight});
    context->saved_data["biased"] = bias.has_value();
    return base_output(x, weight, bias);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = gradients[0].contiguous();
    at::Tensor dx, dw, d_bias;
    if (context->needs_input_grad(0)) dx = product(dy, weight);
    if (context->needs_input_grad(1)) dw = product(dy.t(), x);
    if (context->saved_data["biased"].toBool() && context->needs_input_grad(2)) d_bias = dy.sum(0);
    return {dx, dw, d_bias};
  }
};

}  // namespace

at::Tensor base_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> optional_bias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  if (x.scalar_type() != at::kFloat) return at::linear(x, weight, optional_bias);
  return BaseLinear::apply(x, weight, optional_bias);
}

}  // namespace cadre::model
