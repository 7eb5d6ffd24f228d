// The JSON header of a safetensors file, read event by event: nothing is kept that the format does not know, and memory
// stays a small multiple of the header's bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/safetensors/file.h"

namespace cadre::safetensors {

// What the header says of one tensor, not yet held against the file. Shape and offsets are not negative.
struct Claim {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

struct Claims {
  std::map<std::string, Claim, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> metadata;
};

// The dtype that a header spells so.
std::optional<Dtype> dtype_of(std::string_view name);

// `base` is the place of `json` in its file. UserError: "where: byte N: reason".
Claims parse_header(std::string_view json, std::size_t base, const std::string& where);

}  // namespace cadre::safetensors
