// The flat fp32 space of all trainable parameters: what the optimizer updates, gradients are added up in, checkpoints
// hold and, with several ranks, chunks are cut from. Its layout is a pure function of model and configuration.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cadre::model {

// One trained tensor at [offset, offset + elements) of the space.
struct Parameter {
  std::string name;  // as it is saved: PEFT's name, or Hugging Face's for full fine-tuning
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;
  bool decays = true;     // weight decay applies: Hugging Face's rule, no biases and no norms
  double lr_scale = 1.0;  // LoRA+ multiplies the learning rate of B

  std::int64_t elements() const;
};

class ParameterSpace {
 public:
  // Appends a tensor; before allocate() only. Returns its index.
  std::size_t add(Parameter parameter);
  // Takes the memory: values and gradients, zero-filled, fp32, on the CPU.
  void allocate();

  std::int64_t elements() const { return elements_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // nullptr when there is none.
  const Parameter* find(const std::string& name) const;

  const at::Tensor& values() const { return values_; }        // [elements]
  const at::Tensor& gradients() const { return gradients_; }  // [elements]
  at::Tensor value_of(const Parameter& parameter) const;      // a view in the parameter's shape
  at::Tensor gradient_of(const Parameter& parameter) const;

  // All zero, before a backward pass.
  void clear_gradients();
  // From now on memory that no gradient is in is given back: gradients are cleared by taking their pages away.
  void spare_gradients() { spares_ = true; }
  // Where they are spared: [begin, end) is of no more use before the next clear_gradients().
  void release_gradients(std::uint64_t begin, std::uint64_t end);

  // A leaf of the autograd graph over neighbours first … first + count − 1 that agree in all but their rows, stacked
  // along dimension 0; its gradient adds up in gradients() in place.
  at::Tensor leaf(std::size_t first, std::size_t count = 1) const;

  // Called in a backward pass whenever a leaf has got its gradient: elements [begin, end) of gradients(). A leaf gets
  // all of it at once; one that the loss does not depend on gets none. {}: nobody is called.
  using GradientListener = std::function<void(std::uint64_t begin, std::uint64_t end)>;
  void listen(GradientListener listener) { *listener_ = std::move(listener); }

 private:
  std::vector<Parameter> parameters_;
  std::int64_t elements_ = 0;
  at::Tensor values_, gradients_;
  bool spares_ = false;
  std::shared_ptr<GradientListener> listener_ = std::make_shared<GradientListener>();  // the leaves' too
};

}  // namespace cadre::model
