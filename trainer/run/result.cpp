#include "trainer/run/result.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "runtime/error.h"
#include "runtime/sha256.h"
#include "trainer/model/stored_tensor.h"
#include "trainer/model_folder/writer.h"
#include "trainer/run/step.h"

namespace cadre::run {
namespace {

// Held rows whose logits are compared, and the tokens of each that are.
constexpr std::size_t kHeldRows = 4;
constexpr std::size_t kHeldTokens = 32;

// The dtype that weights are stored in: an adapter's by configuration, a whole model's as its base's.
at::ScalarType saved_dtype(const Base& base, const config::Config& config) {
  if (base.adapter) return config.adapter_save_dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const std::string& dtype = base.folder.spec().dtype;
  return dtype == "bfloat16" ? at::kBFloat16 : dtype == "float16" ? at::kHalf : at::kFloat;
}

at::Tensor held_logits(const model::Decoder& decoder, const data::Dataset& rows) {
  at::NoGradGuard no_grad;
  model::Batch batch;
  for (std::size_t row = 0; row < std::min(kHeldRows, rows.rows()); ++row) {
    const std::size_t tokens = std::min(kHeldTokens, rows.length(row));
    batch.append(rows.ids_of(row).first(tokens), rows.labels_of(row).first(tokens));
  }
  return decoder.logits(decoder.hidden(batch, {})).contiguous();
}

std::vector<std::string> write_model(const std::filesystem::path& folder, const Base& base,
                                     const config::Config& config, const model::Decoder& decoder,
                                     const OnProgress& progressed) {
  const at::ScalarType dtype = saved_dtype(base, config);
  std::vector<safetensors::PlannedTensor> planned;
  std::map<std::string_view, const model::Parameter*> parameters;
  for (const model::Parameter& parameter : decoder.parameters().parameters()) {
    planned.push_back({parameter.name, model::dtype_of(dtype), parameter.shape});
    parameters[parameter.name] = &parameter;
  }
  at::Tensor held;
  const auto bytes_of = [&](const safetensors::PlannedTensor& tensor) {
    held.reset();  // before the next one is made
    progressed();
    held = decoder.parameters().value_of(*parameters.at(tensor.name)).to(dtype).contiguous();
    return model::view_of(held).bytes;
  };
  return model_folder::write_model_folder(folder, base.folder, {std::move(planned), bytes_of});
}

}  // namespace

void round_to_saved_dtype(const Base& base, const config::Config& config, model::Decoder& decoder) {
  const at::Tensor& values = decoder.parameters().values();
  values.copy_(values.to(saved_dtype(base, config)));
}

std::map<std::string, std::string> write_result(const std::filesystem::path& folder, const Base& base,
                                                const config::Config& config, const model::Decoder& decoder,
                                                const OnProgress& progressed) {
  std::vector<std::string> names;
  if (base.adapter) {
    names = adapter::write_adapter(folder, *base.adapter, decoder.parameters(), base.folder.spec(),
                                   saved_dtype(base, config));
    const auto copied = model_folder::copy_tokenizer_files(base.folder.path(), folder);
    names.insert(names.end(), copied.begin(), copied.end());
  } else {
    names = write_model(folder, base, config, decoder, progressed);
  }
  std::map<std::string, std::string> hashes;
  for (const std::string& name : names) {
    hashes[name] = runtime::sha256_of_file(folder / name);
    progressed();
  }
  return hashes;
}

void verify_result(const std::filesystem::path& folder, const Base& base, const data::Dataset& held_rows,
                   model::Decoder& decoder, const OnProgress& progressed) {
  const at::Tensor expected = held_logits(decoder, held_rows);
  decoder.parameters().values().zero_();
  if (base.adapter) {
    adapter::load_adapter(adapter_folder::AdapterFolder::open(folder, base.folder.spec()), decoder.parameters());
  } else {
    const model_folder::Folder written = model_folder::Folder::open(folder);
    for (const model::Parameter& parameter : decoder.parameters().parameters()) {
      decoder.parameters().value_of(parameter).copy_(model::tensor_of(written.tensor(parameter.name)));
      progressed();
    }
  }
  const at::Tensor found = held_logits(decoder, held_rows);
  if (std::memcmp(expected.data_ptr(), found.data_ptr(), expected.nbytes()) != 0) {
    throw runtime::RunError(folder.string() +
                            ": the result that was read back from disk does not give the logits of the one in memory");
  }
}

}  // namespace cadre::run
