#include "trainer/run/generate.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/error.h"
#include "trainer/random/philox.h"

namespace cadre::run {

std::int64_t choose_token(const std::vector<float>& logits, const SamplingOptions& options, double draw) {
  if (options.temperature <= 0) return std::max_element(logits.begin(), logits.end()) - logits.begin();
  std::vector<std::int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  const double top = logits[static_cast<std::size_t>(order[0])];
  std::vector<double> weights;
  for (const std::int64_t id : order) {
    weights.push_back(
        std::exp((static_cast<double>(logits[static_cast<std::size_t>(id)]) - top) / options.temperature));
  }
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  // The nucleus: tokens from the most likely one on until their share reaches top_p.
  double nucleus = 0;
  std::size_t count = 0;
  while (count < weights.size() && (count == 0 || nucleus < options.top_p * all)) nucleus += weights[count++];
  double left = draw * nucleus;
  for (std::size_t i = 0; i < count; ++i) {
    left -= weights[i];
    if (left < 0) return order[i];
  }
  return order[count - 1];
}

std::vector<std::int64_t> generate(const model::Decoder& decoder, const std::vector<std::int64_t>& prompt,
                                   const SamplingOptions& options, const std::function<void(std::int64_t)>& on_token) {
  CADRE_CHECK(!prompt.empty(), "an empty prompt");
  at::NoGradGuard no_grad;
  model::KeyValueCache cache =
      decoder.make_cache(static_cast<std::int64_t>(prompt.size()) + std::max<std::int64_t>(0, options.max_new_tokens));
  std::vector<std::int64_t> result, next = prompt;
  random::PhiloxSequence numbers(options.seed, 0, random::PhiloxStream::kSampling);
  while (static_cast<std::int64_t>(result.size()) < options.max_new_tokens) {
    const at::Tensor hidden = decoder.extend(next, cache);
    const at::Tensor last = decoder.logits(hidden.narrow(0, hidden.size(0) - 1, 1)).contiguous();
    const auto* values = last.data_ptr<float>();
    const double draw = static_cast<double>(numbers.next()) / 4294967296.0;
    const std::int64_t id = choose_token({values, values + last.numel()}, options, draw);
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end()) break;
    result.push_back(id);
    if (on_token) on_token(id);
    next = {id};
  }
  return result;
}

}  // namespace cadre::run
