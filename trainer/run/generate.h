// Text from a model: one token at a time, with the keys and values of what is already there kept.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "trainer/model/decoder.h"

namespace cadre::run {

struct SamplingOptions {
  std::int64_t max_new_tokens = 128;
  double temperature = 0;  // 0: the most likely token (greedy)
  double top_p = 1;        // sample from the smallest set of tokens with this probability (Holtzman et al. 2020)
  std::uint64_t seed = 42;
  std::vector<std::int64_t> stop_ids;  // end of text; not part of the result
};

// The ids that follow `prompt` (not empty). `on_token` (may be empty) sees each as it is chosen. The same bits for the
// same options. UserError when the prompt alone is beyond what memory should hold.
std::vector<std::int64_t> generate(const model::Decoder& decoder, const std::vector<std::int64_t>& prompt,
                                   const SamplingOptions& options,
                                   const std::function<void(std::int64_t)>& on_token = {});

// The next token under `options` from fp32 logits [vocab]; `draw` in [0, 1). Ties go to the lower id.
std::int64_t choose_token(const std::vector<float>& logits, const SamplingOptions& options, double draw);

}  // namespace cadre::run
