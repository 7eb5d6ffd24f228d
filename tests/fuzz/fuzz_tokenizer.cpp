// tokenizer.json from an enemy: it loads or it is a UserError; what loads encodes and decodes within bounds.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/error.h"
#include "trainer/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using cadre::tokenizer::Tokenizer;
  constexpr std::string_view kText =
      "Hello  world, it's 1234 \xC3\xA9 e\xCC\x81 \xE2\x96\x81 "
      "\xF0\x9F\x98\x80\r\n\t<s>\xE0\xB8\x81\xE0\xB9\x8D<|end|> \xED\x95\x9C aaaaaaaabbbb \n";
  try {
    const Tokenizer tokenizer = Tokenizer::from_json({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
    const auto encoding = tokenizer.encode_with_ranges(kText, true);
    if (tokenizer.encode(kText, true) != encoding.ids || encoding.ranges.size() != encoding.ids.size())
      __builtin_trap();
    for (const auto& range : encoding.ranges)
      if (range.end > kText.size()) __builtin_trap();
    tokenizer.decode(encoding.ids, false);
    tokenizer.decode(encoding.ids, true);
  } catch (const cadre::runtime::UserError&) {
  }
  return 0;
}
