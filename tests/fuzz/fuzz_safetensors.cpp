// The header of a safetensors file. What is accepted must lie inside the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/error.h"
#include "trainer/safetensors/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cadre;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  try {
    std::size_t used = 0;
    for (const auto& [name, tensor] : safetensors::parse(bytes, "input").tensors) {
      if (tensor.bytes.size() != static_cast<std::size_t>(tensor.elements()) * size_of(tensor.dtype)) std::abort();
      if (!tensor.bytes.empty() &&
          (tensor.bytes.data() < bytes.data() || tensor.bytes.data() + tensor.bytes.size() > bytes.data() + size)) {
        std::abort();
      }
      used += tensor.bytes.size();
    }
    if (used > size) std::abort();
  } catch (const runtime::UserError&) {
  }
  return 0;
}
