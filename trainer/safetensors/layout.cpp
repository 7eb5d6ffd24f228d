// The header's claims held against the file.
#include <algorithm>
#include <limits>

#include "runtime/error.h"
#include "runtime/quote.h"
#include "trainer/safetensors/file.h"
#include "trainer/safetensors/header_parser.h"

namespace cadre::safetensors {
namespace {

using runtime::in_quotes;
using runtime::say;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kLengthBytes = 8;

// Bytes of a tensor; nothing where the number does not fit.
std::optional<std::uint64_t> bytes_of(const Claim& claim) {
  std::uint64_t bytes = size_of(claim.dtype);
  // A zero anywhere makes it empty, but the other sizes must still be possible.
  bool empty = false;
  for (const std::int64_t size : claim.shape) {
    const auto factor = static_cast<std::uint64_t>(size);
    if (factor == 0) {
      empty = true;
      continue;
    }
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / factor) return std::nullopt;
    bytes *= factor;
  }
  return empty ? 0 : bytes;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

}  // namespace

Header parse(std::span<const std::byte> file_bytes, const std::string& where) {
  const auto fail = [&](const auto&... parts) { throw runtime::UserError(say(where, ": ", parts...)); };
  if (file_bytes.size() < kLengthBytes) {
    fail("expected a safetensors file, found ", file_bytes.size(), " bytes; it is cut off, fetch or write it again");
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<std::uint64_t>(file_bytes[i]) << (8 * i);
  const std::uint64_t rest = file_bytes.size() - kLengthBytes;
  if (length > kMaxHeaderBytes) {
    fail("byte 0: the header claims ", length, " bytes, at most ", kMaxHeaderBytes,
         " are allowed; this is no safetensors file");
  }
  if (length > rest) {
    fail("byte 0: the header claims ", length, " bytes, the file has ", rest,
         " after its first 8; it is cut off, fetch or write it again");
  }
  const std::string_view json(reinterpret_cast<const char*>(file_bytes.data()) + kLengthBytes,
                              static_cast<std::size_t>(length));
  Claims claims = parse_header(json, kLengthBytes, where);

  const std::uint64_t data_bytes = rest - length;
  const std::span<const std::byte> data = file_bytes.subspan(kLengthBytes + static_cast<std::size_t>(length));
  Header header;
  header.metadata = std::move(claims.metadata);
  std::vector<std::pair<const std::string*, const Claim*>> order;
  for (const auto& [name, claim] : claims.tensors) {
    const std::optional<std::uint64_t> bytes = bytes_of(claim);
    if (!bytes) fail("tensor ", in_quotes(name), ": its shape ", shape_text(claim.shape), " is too large for any file");
    if (claim.begin > claim.end) {
      fail("tensor ", in_quotes(name), ": data_offsets [", claim.begin, ", ", claim.end, "] end before they begin");
    }
    if (claim.end > data_bytes) {
      fail("tensor ", in_quotes(name), ": data_offsets [", claim.begin, ", ", claim.end, "] pass the end of the data (",
           data_bytes, " bytes); the file is cut off, fetch or write it again");
    }
    if (claim.end - claim.begin != *bytes) {
      fail("tensor ", in_quotes(name), ": shape ", shape_text(claim.shape), " of ", name_of(claim.dtype), " takes ",
           *bytes, " bytes, data_offsets [", claim.begin, ", ", claim.end, "] give it ", claim.end - claim.begin);
    }
    order.emplace_back(&name, &claim);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  std::uint64_t at = 0;
  for (const auto& [name, claim] : order) {
    if (claim->begin != at) {
      fail("tensor ", in_quotes(*name), ": begins at byte ", claim->begin, " of the data, expected ", at, ": ",
           claim->begin < at ? "it overlaps the one before it" : "there is a hole before it");
    }
    at = claim->end;
  }
  if (at != data_bytes) fail("the tensors end at byte ", at, " of the data, the file has ", data_bytes, " bytes of it");
  for (auto& [name, claim] : claims.tensors) {
    header.tensors.emplace(name, TensorView{claim.dtype, std::move(claim.shape),
                                            data.subspan(static_cast<std::size_t>(claim.begin),
                                                         static_cast<std::size_t>(claim.end - claim.begin))});
  }
  return header;
}

}  // namespace cadre::safetensors
