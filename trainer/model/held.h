// Plain values inside an autograd context: LibTorch's contexts hold IValues only.
#pragma once

#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace cadre::model {

template <typename T>
struct Held : torch::CustomClassHolder {
  explicit Held(T v) : value(std::move(v)) {}
  T value;
};

template <typename T>
void hold(torch::autograd::AutogradContext* context, T value) {
  context->saved_data["held"] = c10::IValue::make_capsule(c10::make_intrusive<Held<T>>(std::move(value)));
}

template <typename T>
const T& held(torch::autograd::AutogradContext* context) {
  return static_cast<const Held<T>*>(context->saved_data["held"].toCapsule().get())->value;
}

}  // namespace cadre::model
