// Reading a safetensors file (https://github.com/huggingface/safetensors, format section): 8 bytes little-endian
// header length, a JSON header, then the tensors' bytes. The file is memory-mapped; nothing is copied. Everything the
// header claims is checked against the file before it is believed: offsets in range, in order, without holes or
// overlap, size = shape × dtype, no duplicate names, header at most 100 MB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files.h"

namespace cadre::safetensors {

enum class Dtype { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

std::size_t size_of(Dtype dtype);       // bytes of one element
std::string_view name_of(Dtype dtype);  // "F32", "BF16", …: as the header spells it

// A tensor inside a mapped file; valid as long as its File lives. `bytes` may be unaligned.
struct TensorView {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  std::int64_t elements() const;
};

// Move-only owner of the map and the parsed header.
class File {
 public:
  // UserError with path, byte offset and reason for anything malformed.
  explicit File(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }
  const TensorView* find(std::string_view name) const;  // nullptr when absent

 private:
  runtime::MappedFile file_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

// The header alone, from bytes that may be hostile: what File uses, and what the fuzz target calls.
struct Header {
  std::map<std::string, TensorView, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> metadata;
};
Header parse(std::span<const std::byte> file_bytes, const std::string& where);

}  // namespace cadre::safetensors
