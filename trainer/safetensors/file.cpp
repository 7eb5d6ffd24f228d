#include "trainer/safetensors/file.h"

#include <array>
#include <utility>

#include "runtime/error.h"
#include "trainer/safetensors/header_parser.h"

namespace cadre::safetensors {
namespace {

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<DtypeRow, 10> kDtypes{{{Dtype::kBool, "BOOL", 1},
                                            {Dtype::kU8, "U8", 1},
                                            {Dtype::kI8, "I8", 1},
                                            {Dtype::kI16, "I16", 2},
                                            {Dtype::kI32, "I32", 4},
                                            {Dtype::kI64, "I64", 8},
                                            {Dtype::kF16, "F16", 2},
                                            {Dtype::kBF16, "BF16", 2},
                                            {Dtype::kF32, "F32", 4},
                                            {Dtype::kF64, "F64", 8}}};

const DtypeRow& row_of(Dtype dtype) {
  return kDtypes.at(static_cast<std::size_t>(dtype));
}

}  // namespace

std::size_t size_of(Dtype dtype) {
  return row_of(dtype).bytes;
}
std::string_view name_of(Dtype dtype) {
  return row_of(dtype).name;
}

std::optional<Dtype> dtype_of(std::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::int64_t TensorView::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

File::File(const std::filesystem::path& path) : file_(path) {
  Header header = parse(file_.bytes(), path.string());
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
}

const TensorView* File::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace cadre::safetensors
