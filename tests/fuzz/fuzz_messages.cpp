// Any bytes as a message of either side, or as a relay's bundle: decoded, or refused. What is decoded is encoded as the
// same bytes, and nothing takes more memory than a small multiple of them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/bundle.h"
#include "runtime/codec.h"
#include "runtime/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace cadre::runtime;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  switch (bytes[0] % 3) {
    case 0:
      if (const auto message = decode_member_message(text)) CADRE_CHECK(encode(*message) == text, "member");
      break;
    case 1:
      if (const auto message = decode_coordinator_message(text)) CADRE_CHECK(encode(*message) == text, "coordinator");
      break;
    default:
      if (const auto bundle = decode_bundle(text)) CADRE_CHECK(encode(*bundle) == text, "bundle");
  }
  return 0;
}
