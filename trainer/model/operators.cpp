#include "trainer/model/operators.h"

#include "trainer/kernels/rms_norm.h"
#include "trainer/kernels/rotary.h"
#include "trainer/model/held.h"
#include "trainer/model/storage.h"

namespace cadre::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct RmsNormCall {
  double eps;
  bool one_plus;
};

kernels::NormShape norm_shape(const at::Tensor& x, const RmsNormCall& call) {
  const std::int64_t width = x.size(-1);
  return {.rows = x.numel() / width,
          .width = width,
          .x_stride = width,
          .eps = static_cast<float>(call.eps),
          .one_plus = call.one_plus};
}

// Calls f(T{}, W{}) with the element types of activations and norm weights.
template <typename F>
void with_norm_types(const at::Tensor& x, const at::Tensor& weight, F f) {
  if (x.scalar_type() == at::kFloat) return f(float{}, float{});
  CADRE_CHECK(x.scalar_type() == at::kBFloat16, "dtype of the activations");
  weight.scalar_type() == at::kFloat ? f(kernels::Bf16{}, float{}) : f(kernels::Bf16{}, kernels::Bf16{});
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight, double eps,
                            bool one_plus) {
    const at::Tensor x = input.contiguous();
    const RmsNormCall call{eps, one_plus};
    const kernels::NormShape shape = norm_shape(x, call);
    at::Tensor y = at::empty_like(x), inverse_rms = at::empty({shape.rows}, at::kFloat);
    with_norm_types(x, weight, [&](auto t, auto w) {
      using T = decltype(t);
      using W = decltype(w);
      kernels::rms_norm_forward(shape, data_of<T>(x), data_of<W>(weight), data_of<T>(y), data_of<float>(inverse_rms));
    });
    context->save_for_backward({x, weight, inverse_rms});
    hold(context, call);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse_rms = saved[2];
    const at::Tensor dy = gradients[0].contiguous();
    const kernels::NormShape shape = norm_shape(x, held<RmsNormCall>(context));
    at::Tensor dx, dw;
    with_norm_types(x, weight, [&](auto t, auto w) {
      using T = decltype(t);
      using W = decltype(w);
      if (context->needs_input_grad(0)) {
        dx = at::empty_like(x);
        kernels::rms_norm_backward(shape, data_of<T>(x), data_of<W>(weight), data_of<float>(inverse_rms),
                                   data_of<T>(dy), data_of<T>(dx));
      }
      if (context->needs_input_grad(1)) {
        dw = at::empty({shape.width}, at::kFloat);
        kernels::rms_norm_weight_gradient(shape, data_of<T>(x), data_of<float>(inverse_rms), data_of<T>(dy),
                                          data_of<float>(dw));
      }
    });
    return {dx, dw, {}, {}};
  }
};

struct Gated : Function<Gated> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, std::int64_t gate) {
    const at::Tensor gate_up = input.contiguous();
    const std::int64_t rows = gate_up.size(0), width = gate_up.size(1) / 2;
    at::Tensor y = at::empty({rows, width}, gate_up.options());
    with_element_type(gate_up.scalar_type(), [&](auto t) {
      using T = decltype(t);
      kernels::gated_forward(static_cast<kernels::Gate>(gate), rows, width, data_of<T>(gate_up), data_of<T>(y));
    });
    context->save_for_backward({gate_up});
    context->saved_data["gate"] = gate;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor gate_up = context->get_saved_variables()[0];
    const at::Tensor dy = gradients[0].contiguous();
    const auto gate = static_cast<kernels::Gate>(context->saved_data["gate"].toInt());
    at::Tensor d_gate_up = at::empty_like(gate_up);
    with_element_type(gate_up.scalar_type(), [&](auto t) {
      using T = decltype(t);
      kernels::gated_backward(gate, gate_up.size(0), gate_up.size(1) / 2, data_of<T>(gate_up), data_of<T>(dy),
                              data_of<T>(d_gate_up));
    });
    return {d_gate_up, {}};
  }
};

// Of queries, keys and values side by side in a row.
kernels::AttentionShape shape_in_rows(const AttentionCall& call) {
  const std::int64_t row = (call.heads + 2 * call.kv_heads) * call.head_dim;
  return attention_shape(call, {.q = row, .kv = row});
}

// Queries and keys are neighbours in a row, so they turn in one go.
void rotate(const at::Tensor& qkv, const AttentionCall& call, bool inverse) {
  if (call.rotary_dim == 0) return;
  const RopeTable& table = call.plan->rope_tables[call.rope];
  const kernels::RotaryShape shape{.rows = qkv.size(0),
                                   .heads = call.heads + call.kv_heads,
                                   .head_dim = call.head_dim,
                                   .rotary_dim = call.rotary_dim,
                                   .row_stride = qkv.size(1)};
  with_element_type(qkv.scalar_type(), [&](auto t) {
    kernels::rotate(shape, table.cos.data(), table.sin.data(), inverse, data_of<decltype(t)>(qkv));
  });
}

struct Attention : Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const AttentionCall& call) {
    const at::Tensor rotated = qkv.clone(at::MemoryFormat::Contiguous);
    rotate(rotated, call, false);
    at::Tensor out = at::empty({qkv.size(0), call.heads * call.head_dim}, qkv.options());
    at::Tensor log_sum_exp = at::empty({qkv.size(0), call.heads}, at::kFloat);
    with_element_type(qkv.scalar_type(), [&](auto t) {
      using T = decltype(t);
      const T* q = data_of<T>(rotated);
      const T* k = q + call.heads * call.head_dim;
      kernels::attention_forward(shape_in_rows(call), call.plan->documents, q, k, k + call.kv_heads * call.head_dim,
                                 data_of<T>(out), data_of<float>(log_sum_exp));
    });
    context->save_for_backward({rotated, out, log_sum_exp});
    hold(context, call);
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &rotated = saved[0], &out = saved[1], &log_sum_exp = saved[2];
    const at::Tensor d_out = gradients[0].contiguous();
    const AttentionCall& call = held<AttentionCall>(context);
    at::Tensor d_qkv = at::empty_like(rotated);
    with_element_type(rotated.scalar_type(), [&](auto t) {
      using T = decltype(t);
      const std::int64_t to_k = call.heads * call.head_dim, to_v = to_k + call.kv_heads * call.head_dim;
      const T* qkv = data_of<T>(rotated);
      T* d = data_of<T>(d_qkv);
      kernels::attention_backward<T>(
          shape_in_rows(call), call.plan->documents,
          {qkv, qkv + to_k, qkv + to_v, data_of<T>(out), data_of<float>(log_sum_exp), data_of<T>(d_out)}, d, d + to_k,
          d + to_v);
    });
    rotate(d_qkv, call, true);
    return {d_qkv, {}};
  }
};

struct KeyedDropout : Function<KeyedDropout> {
  struct Call {
    double p;
    kernels::DropoutKey key;
    at::ScalarType input_dtype;
  };

  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, double p,
                            const kernels::DropoutKey& key) {
    const at::Tensor x = input.contiguous();
    at::Tensor y = at::empty(x.sizes(), x.options().dtype(at::kFloat));
    with_element_type(x.scalar_type(), [&](auto t) {
      kernels::dropout(key, static_cast<float>(p), x.numel(), data_of<decltype(t)>(x), data_of<float>(y));
    });
    hold(context, Call{p, key, x.scalar_type()});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Call& call = held<Call>(context);
    at::Tensor dx = gradients[0].clone(at::MemoryFormat::Contiguous);
    kernels::dropout(call.key, static_cast<float>(call.p), dx.numel(), data_of<float>(dx), data_of<float>(dx));
    return {dx.to(call.input_dtype), {}, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool one_plus) {
  return RmsNorm::apply(x, weight, eps, one_plus);
}

at::Tensor gated(kernels::Gate gate, const at::Tensor& gate_up) {
  return Gated::apply(gate_up, static_cast<std::int64_t>(gate));
}

kernels::AttentionShape attention_shape(const AttentionCall& call, const AttentionStrides& strides) {
  return {.heads = call.heads,
          .kv_heads = call.kv_heads,
          .head_dim = call.head_dim,
          .q_stride = strides.q,
          .kv_stride = strides.kv,
          .scale = static_cast<float>(call.scale),
          .softcap = static_cast<float>(call.softcap),
          .window = call.window};
}

at::Tensor attention(const at::Tensor& qkv, const AttentionCall& call) {
  return Attention::apply(qkv, call);
}

void rotate_queries_and_keys(at::Tensor& qkv, const AttentionCall& call) {
  rotate(qkv, call, false);
}

at::Tensor keyed_dropout(const at::Tensor& x, double p, const kernels::DropoutKey& key) {
  return p > 0 ? KeyedDropout::apply(x, p, key) : x.to(at::kFloat);
}

}  // namespace cadre::model
