// Any bytes as a configuration: read, or refused with a UserError. What is read is described and read again as itself.
// A first line `--key value` is an override.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "trainer/config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace cadre;
  std::string text(reinterpret_cast<const char*>(bytes), size);
  std::vector<config::Override> overrides;
  while (text.starts_with("--") && !text.starts_with("---")) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::size_t space = std::min(text.find(' '), end);
    overrides.push_back(
        {text.substr(2, space - 2), text.substr(std::min(space + 1, end), end - std::min(space + 1, end))});
    text.erase(0, end + 1);
  }
  config::Resolved resolved;
  try {
    resolved = config::load_text(text, "fuzz", overrides);
  } catch (const runtime::UserError&) {
    return 0;
  }
  // An exception here is a bug: what was accepted is written as what is accepted.
  const config::Resolved again = config::load_text(config::describe(resolved), "again", {});
  CADRE_CHECK(again.config == resolved.config, config::describe(resolved));
  return 0;
}
