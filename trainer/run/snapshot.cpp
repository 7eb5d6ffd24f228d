#include "trainer/run/snapshot.h"

#include <cstring>

#include "runtime/error.h"
#include "runtime/sha256.h"
#include "trainer/safetensors/file.h"
#include "trainer/safetensors/writer.h"

namespace cadre::run {
namespace {

safetensors::NamedTensor flat_tensor(const std::string& name, std::span<const float> values) {
  return {name, {safetensors::Dtype::kF32, {static_cast<std::int64_t>(values.size())}, std::as_bytes(values)}};
}

std::span<float> values_of(const model::ParameterSpace& space) {
  return {static_cast<float*>(space.values().data_ptr()), static_cast<std::size_t>(space.elements())};
}

void copy_into(const safetensors::File& file, const std::string& name, std::span<float> to) {
  const safetensors::TensorView* tensor = file.find(name);
  if (tensor == nullptr || tensor->dtype != safetensors::Dtype::kF32 || tensor->bytes.size() != to.size_bytes()) {
    throw runtime::UserError(runtime::say(file.path().string(), ": expected ", name, " with ", to.size(),
                                          " fp32 values; it is of another configuration"));
  }
  std::memcpy(to.data(), tensor->bytes.data(), to.size_bytes());
}

}  // namespace

void write_snapshot(const std::filesystem::path& file, const model::ParameterSpace& space, OptimizerState& optimizer) {
  std::vector<safetensors::NamedTensor> tensors{flat_tensor("parameters", values_of(space)),
                                                flat_tensor("first_moment", optimizer.first_moment())};
  if (!optimizer.second_moment().empty()) tensors.push_back(flat_tensor("second_moment", optimizer.second_moment()));
  safetensors::write(file, tensors);
}

void load_snapshot(const std::filesystem::path& file, model::ParameterSpace& space, OptimizerState& optimizer) {
  const safetensors::File snapshot(file);
  copy_into(snapshot, "parameters", values_of(space));
  copy_into(snapshot, "first_moment", optimizer.first_moment());
  if (!optimizer.second_moment().empty()) copy_into(snapshot, "second_moment", optimizer.second_moment());
}

void load_parameters(const std::filesystem::path& file, model::ParameterSpace& space) {
  copy_into(safetensors::File(file), "parameters", values_of(space));
}

std::string layout_sha256(const model::ParameterSpace& space) {
  std::string text;
  for (const model::Parameter& parameter : space.parameters()) {
    text += parameter.name + ' ' + std::to_string(parameter.offset) + ' ' + std::to_string(parameter.elements()) + '\n';
  }
  return runtime::sha256_hex(text);
}

}  // namespace cadre::run
