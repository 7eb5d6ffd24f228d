// Softmax cross-entropy of a block of logits against target ids, with the gradient in the logits' place.
#pragma once

#include <cstdint>

#include "trainer/kernels/number.h"

namespace cadre::kernels {

struct CrossEntropyShape {
  std::int64_t rows = 0, vocab = 0;
  float softcap = 0.0f;         // 0: none; else logit = cap·tanh(logit / cap) (Gemma 2)
  float gradient_scale = 1.0f;  // multiplies the gradient
};

// logits [rows, vocab]; targets [rows] in [0, vocab); losses [rows] receive −log p(target). With `gradient`, the logits
// become gradient_scale · d loss / d logit.
template <typename T>
void cross_entropy(const CrossEntropyShape& shape, bool gradient, T* logits, const std::int64_t* targets,
                   float* losses);

}  // namespace cadre::kernels
