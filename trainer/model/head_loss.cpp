#include <algorithm>

#include "trainer/kernels/cross_entropy.h"
#include "trainer/model/held.h"
#include "trainer/model/operators.h"
#include "trainer/model/product.h"
#include "trainer/model/storage.h"

namespace cadre::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Logits held at once, in elements: 32 MB in fp32.
constexpr std::int64_t kLogitsAtOnce = std::int64_t{1} << 23;

struct HeadCall {
  const std::vector<std::int64_t>* targets;
  double softcap, gradient_scale;
  double* loss_sum;
};

// The gradient is computed with the loss, block by block: the logits are never all there, and never computed twice.
struct HeadLossFunction : Function<HeadLossFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                            const HeadCall& call, bool hidden_needs, bool weight_needs) {
    const at::Tensor h = hidden.contiguous();
    const std::int64_t rows = h.size(0), vocab = weight.size(0);
    const std::int64_t block = std::clamp<std::int64_t>(kLogitsAtOnce / vocab, 16, std::max<std::int64_t>(16, rows));
    at::Tensor dh = hidden_needs ? at::empty_like(h) : at::Tensor();
    at::Tensor dw = weight_needs ? at::zeros(weight.sizes(), weight.options().dtype(at::kFloat)) : at::Tensor();
    std::vector<float> losses(static_cast<std::size_t>(rows));
    for (std::int64_t begin = 0; begin < rows; begin += block) {
      const std::int64_t count = std::min(block, rows - begin);
      const at::Tensor part = h.narrow(0, begin, count);
      const at::Tensor logits = base_output(part, weight, std::nullopt);
      const kernels::CrossEntropyShape shape{.rows = count,
                                             .vocab = vocab,
                                             .softcap = static_cast<float>(call.softcap),
                                             .gradient_scale = static_cast<float>(call.gradient_scale)};
      with_element_type(logits.scalar_type(), [&](auto t) {
        kernels::cross_entropy(shape, hidden_needs || weight_needs, data_of<decltype(t)>(logits),
                               call.targets->data() + begin, losses.data() + begin);
      });
      if (hidden_needs) multiply(logits, weight, dh.narrow(0, begin, count));
      if (weight_needs) add_product(logits.t().to(at::kFloat), part.to(at::kFloat), dw);
    }
    double sum = 0;
    for (const float loss : losses) sum += loss;
    *call.loss_sum = sum;
    context->save_for_backward({dh, dw});
    return at::scalar_tensor(sum * call.gradient_scale, at::kFloat);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    CADRE_CHECK(gradients[0].item<float>() == 1.0f, "the loss is the root of the graph");
    return {saved[0], saved[1], {}, {}, {}};
  }
};

}  // namespace

HeadLoss head_loss(const at::Tensor& h, const at::Tensor& weight, const std::vector<std::int64_t>& targets,
                   double softcap, double gradient_scale) {
  CADRE_CHECK(h.size(0) == static_cast<std::int64_t>(targets.size()), h.size(0), " rows, ", targets.size(), " targets");
  HeadLoss result;
  const bool grad = at::GradMode::is_enabled();
  result.scaled_loss = HeadLossFunction::apply(h, weight, HeadCall{&targets, softcap, gradient_scale, &result.loss_sum},
                                               grad && h.requires_grad(), grad && weight.requires_grad());
  return result;
}

}  // namespace cadre::model
