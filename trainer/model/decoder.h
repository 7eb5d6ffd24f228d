// The decoder-only transformer, one for all supported architectures: ModelSpec declares what differs. Activations are
// [tokens, features] without padding; documents never see each other.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "trainer/model/batch.h"
#include "trainer/model/operators.h"
#include "trainer/model/parameter_space.h"
#include "trainer/model/projection.h"
#include "trainer/model_folder/model_spec.h"

namespace cadre::model {

// What is trained, and with what beside the base.
struct Trained {
  enum class Method { kNothing, kAdapter, kFull };
  Method method = Method::kNothing;
  std::vector<LoraTarget> targets;  // kAdapter
  bool use_dora = false;
  std::vector<std::string> modules_to_save;  // kAdapter: "embed_tokens", "lm_head"
  double loraplus_lr_ratio = 1.0;            // learning rate of B over that of A (Hayou et al. 2024)
};

// How one forward pass is run.
struct Pass {
  double lora_dropout = 0;  // 0 outside training
  kernels::DropoutKey key;
  bool checkpointing = false;  // keep each layer's input only and compute the rest again on the way back
};

// Keys and values of a document that is being generated.
struct KeyValueCache {
  std::vector<at::Tensor> keys, values;  // a layer: [capacity, kv_heads·head_dim]
  std::int64_t length = 0, capacity = 0;
};

// Gives the tensor of a Hugging Face name in whatever floating dtype it is stored; the decoder converts.
using TensorSource = std::function<at::Tensor(const std::string& name, const std::vector<std::int64_t>& shape)>;

class Decoder {
 public:
  // compute: kFloat or kBFloat16. Frozen weights are held in it; trained ones in fp32 in parameters(). Adapter values
  // start at zero: initialise them (adapter/initialise.h) or load them. UserError: modules_to_save of another name.
  Decoder(const model_folder::ModelSpec& spec, const TensorSource& source, at::ScalarType compute,
          const Trained& trained);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const model_folder::ModelSpec& spec() const { return spec_; }
  ParameterSpace& parameters() { return space_; }
  const ParameterSpace& parameters() const { return space_; }

  // Hidden states [tokens, hidden] after the last layer, before the final norm.
  at::Tensor hidden(const Batch& batch, const Pass& pass) const;
  // fp32 logits [rows, vocab] of hidden states.
  at::Tensor logits(const at::Tensor& hidden) const;
  // Loss over the batch's targets from its hidden states; see head_loss.
  HeadLoss loss(const at::Tensor& hidden, const Batch& batch, double gradient_scale) const;

  KeyValueCache make_cache(std::int64_t capacity) const;
  // Hidden states of `ids`, the continuation of what the cache holds; the cache grows by them. No gradient.
  at::Tensor extend(const std::vector<std::int64_t>& ids, KeyValueCache& cache) const;

  // The weight of a Hugging Face module (say model.layers.0.self_attn.q_proj) with its adapter merged in, fp32
  // [out, in]: W + scaling·B·A, or with DoRA m/‖W + scaling·B·A‖ · (W + scaling·B·A).
  at::Tensor merged_weight(const std::string& module) const;
  // Current value of any expected tensor by its Hugging Face name, adapters merged, fp32.
  at::Tensor merged_tensor(const std::string& name) const;

 private:
  struct Layer;
  struct Builder;

  at::Tensor embed(const std::vector<std::int64_t>& ids) const;
  at::Tensor run_layer(const Layer& layer, const at::Tensor& x, const AttentionCall& call, const Pass& pass,
                       KeyValueCache* cache, std::size_t index) const;
  at::Tensor attend(const Layer& layer, const at::Tensor& x, const AttentionCall& call, const Pass& pass,
                    KeyValueCache* cache, std::size_t index) const;
  AttentionCall attention_call(const Layer& layer, std::shared_ptr<const AttentionPlan> plan) const;
  at::Tensor head_weight() const;
  at::Tensor normed(const at::Tensor& x, const at::Tensor& weight) const;

  model_folder::ModelSpec spec_;
  at::ScalarType compute_;
  ParameterSpace space_;
  std::map<std::string, at::Tensor> vectors_;  // norm weights by Hugging Face name
  at::Tensor embedding_, head_;                // head_ undefined when tied
  std::vector<std::unique_ptr<Layer>> layers_;
  at::Tensor final_norm_;
};

}  // namespace cadre::model
