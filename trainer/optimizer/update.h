// The update of a run of parameters, element by element: the same bits wherever and in whatever pieces it is done.
#pragma once

#include <cstdint>
#include <span>

namespace cadre::optimizer {

struct AdamW {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};
struct Sgd {
  double momentum = 0;
};

// What differs from step to step and from parameter to parameter.
struct Rate {
  double learning_rate = 0, weight_decay = 0;
  double gradient_scale = 1;  // clipping
  std::int64_t step = 1;      // counted from 1
};

// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), in the order of operations of torch.optim.AdamW.
// All spans of one size; moments start at 0.
void update(const AdamW& adamw, const Rate& rate, std::span<const float> gradient, std::span<float> parameter,
            std::span<float> first_moment, std::span<float> second_moment);

// torch.optim.SGD: decay added to the gradient, then momentum; the buffer starts at 0.
void update(const Sgd& sgd, const Rate& rate, std::span<const float> gradient, std::span<float> parameter,
            std::span<float> momentum_buffer);

// Σ x² in fp64 in a fixed order; infinite or NaN where an element is.
double sum_of_squares(std::span<const float> values);

// The factor that brings a gradient of this norm to at most `max_norm` (torch.nn.utils.clip_grad_norm_); 1 where
// max_norm is 0.
double clip_scale(double norm, double max_norm);

}  // namespace cadre::optimizer
