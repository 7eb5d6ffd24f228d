#include "trainer/model/parameter_space.h"

#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "runtime/error.h"

namespace cadre::model {
namespace {

struct GradientHook final : torch::autograd::PostAccumulateGradHook {
  std::shared_ptr<ParameterSpace::GradientListener> listener;
  std::uint64_t begin = 0, end = 0;

  void operator()(const at::Tensor&) override {
    if (*listener) (*listener)(begin, end);
  }
};

// The whole pages in it, which are zero from here on and take no memory before they are written; none where the system
// refuses (locked memory).
std::span<float> take_pages_away(std::span<float> values) {
  static const auto kPage = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(values.data());
  const std::uintptr_t first = (begin + kPage - 1) / kPage * kPage;
  const std::uintptr_t last = (begin + values.size_bytes()) / kPage * kPage;
  if (first >= last || ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED) != 0) return {};
  return values.subspan((first - begin) / sizeof(float), (last - first) / sizeof(float));
}

}  // namespace

std::int64_t Parameter::elements() const {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

std::size_t ParameterSpace::add(Parameter parameter) {
  CADRE_CHECK(!values_.defined(), "parameter ", parameter.name, " added after allocate()");
  parameter.offset = elements_;
  elements_ += parameter.elements();
  parameters_.push_back(std::move(parameter));
  return parameters_.size() - 1;
}

void ParameterSpace::allocate() {
  values_ = at::zeros({elements_}, at::kFloat);
  gradients_ = at::zeros({elements_}, at::kFloat);
}

void ParameterSpace::clear_gradients() {
  float* const begin = gradients_.data_ptr<float>();
  const std::span<float> all(begin, static_cast<std::size_t>(elements_));
  const std::span<float> cleared = spares_ ? take_pages_away(all) : std::span<float>();
  if (cleared.empty()) {
    gradients_.zero_();
    return;
  }
  std::fill(begin, cleared.data(), 0.0f);
  std::fill(cleared.data() + cleared.size(), begin + elements_, 0.0f);
}

void ParameterSpace::release_gradients(std::uint64_t begin, std::uint64_t end) {
  if (spares_) take_pages_away({gradients_.data_ptr<float>() + begin, static_cast<std::size_t>(end - begin)});
}

const Parameter* ParameterSpace::find(const std::string& name) const {
  const auto it =
      std::find_if(parameters_.begin(), parameters_.end(), [&](const Parameter& p) { return p.name == name; });
  return it == parameters_.end() ? nullptr : &*it;
}

at::Tensor ParameterSpace::value_of(const Parameter& parameter) const {
  return values_.narrow(0, parameter.offset, parameter.elements()).view(parameter.shape);
}

at::Tensor ParameterSpace::gradient_of(const Parameter& parameter) const {
  return gradients_.narrow(0, parameter.offset, parameter.elements()).view(parameter.shape);
}

at::Tensor ParameterSpace::leaf(std::size_t first, std::size_t count) const {
  std::vector<std::int64_t> shape = parameters_.at(first).shape;
  std::int64_t elements = 0, rows = 0;
  for (std::size_t i = first; i < first + count; ++i) {
    const Parameter& parameter = parameters_.at(i);
    CADRE_CHECK(std::equal(shape.begin() + 1, shape.end(), parameter.shape.begin() + 1, parameter.shape.end()),
                parameter.name, " does not stack on ", parameters_[first].name);
    rows += parameter.shape[0];
    elements += parameter.elements();
  }
  shape[0] = rows;
  at::Tensor result = values_.narrow(0, parameters_[first].offset, elements).view(shape).detach();
  result.requires_grad_();
  result.mutable_grad() = gradients_.narrow(0, parameters_[first].offset, elements).view(shape);
  auto hook = std::make_unique<GradientHook>();
  hook->listener = listener_;
  hook->begin = static_cast<std::uint64_t>(parameters_[first].offset);
  hook->end = hook->begin + static_cast<std::uint64_t>(elements);
  torch::autograd::impl::set_post_acc_grad_hooks(result, std::move(hook));
  return result;
}

}  // namespace cadre::model
